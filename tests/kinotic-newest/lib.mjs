// The lib of ../kinotic-client, and the names of 4.0.0 for what 5.0.0-beta.5 calls otherwise.
import { cfg, core, KinoticSingleton, sockets, within } from '../kinotic-client/lib.mjs'
export * from '../kinotic-client/lib.mjs'
export const { BasicCredentialsResolver: BasicAuthProvider, BasicCredentialsResolver: KinoticOsCredentialsAuthProvider } = core
export class BearerTokenAuthProvider extends core.BearerCredentialsResolver {
  // 5.0.0-beta.5 asks once more, ahead of the first socket, to learn whether there are headers at all. The cases count by socket.
  async resolve(server) { if (this.asked) return super.resolve(server); this.asked = true; return { authHeaders: {} } }
}
export const basic = u => new BasicAuthProvider(u.login, u.pw)
// The client relies on a cookie only where there is a page.
globalThis.document = {}
const resolver = auth => auth.resolve ? auth : { name: 'own headers', resolve: async () => ({ authHeaders: auth.getAuthHeaders() }) }
export const info = (auth, extra = {}) => ({
  server: { host: cfg.host, port: cfg.port, useSSL: cfg.useSSL },
  credentials: auth ? resolver(auth) : new core.SessionCredentialsResolver(),
  ...extra,
})
export async function connected(auth, extra) {
  const k = new KinoticSingleton()
  const connectedInfo = await within(k.connect(info(auth, extra)), 5000, 'connect')
  return { k, connectedInfo, order: k.serviceProxy(cfg.order), socket: sockets.at(-1) }
}
