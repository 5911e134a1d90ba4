// The newest @kinotic-ai/core that the registry has, unmodified, through the cases of ../kinotic-client.
import { readdirSync } from 'node:fs'
import { register } from 'node:module'
register('./hooks.mjs', import.meta.url)
const { assert, connected, core, runAll, sockets, test, token, until } = await import('./lib.mjs')
const cases = new URL('../kinotic-client/cases/', import.meta.url)
for (const file of readdirSync(cases).sort()) await import(new URL(file, cases))
test('newest/its own BearerCredentialsResolver asks again after a loss', async () => {
  let n = 0; const { k, order, socket } = await connected(new core.BearerCredentialsResolver(async () => token(++n))); assert.equal(n, 2)
  socket.terminate(); await until(() => sockets.at(-1) !== socket && k.eventBus.isConnected(), 20000)
  assert.equal(n, 3); assert.equal(await order.invoke('echo', [1]), 1); await k.disconnect()
}, { timeout: 30000 })
await runAll(process.argv[2])
