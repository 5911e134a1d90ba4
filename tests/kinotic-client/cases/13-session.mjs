import { test, assert, cfg, info, KinoticSingleton, rejection, sockets, until, within } from '../lib.mjs'
// What a browser does by itself: it keeps the cookie, and sends it and the origin of the page along.
const site = `http://${cfg.host}:${cfg.port}`
const path = process.env.LOGIN_PATH ?? '/api/auth/org/login'
const { fetch: plain, WebSocket: Socket } = globalThis
let cookie = ''
const ask = (url, options = {}) => plain(url, { ...options, headers: { cookie, origin: site, ...options.headers } })
const post = (to, body) => ask(site + to, { method: 'POST', headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) })
const signIn = async (user = cfg.alice) => { const r = await post(path, { email: user.login, password: user.pw }); if (r.ok) cookie = r.headers.get('set-cookie').split(';')[0]; return r }
const me = async () => (await ask(`${site}/api/auth/me`)).status
const inBrowser = async f => {
  globalThis.fetch = ask
  globalThis.WebSocket = class extends Socket { constructor(url, protocols) { super(url, protocols, { headers: { cookie, origin: site } }) } }
  try { await f() } finally { globalThis.fetch = plain; globalThis.WebSocket = Socket; cookie = '' }
}
const open = async extra => { const k = new KinoticSingleton(); const connectedInfo = await within(k.connect(info(null, extra)), 5000, 'connect'); return { k, connectedInfo, socket: sockets.at(-1) } }

test('session/signing in and out by cookie', () => inBrowser(async () => {
  assert.equal(await me(), 401); assert.equal((await signIn()).status, 204); assert.equal(await me(), 204)
  const { k, connectedInfo, socket } = await open(); assert.equal(connectedInfo.participant.metadata.email, cfg.alice.login); assert.equal(socket.protocol, 'v12.stomp')
  assert.equal(await k.serviceProxy(cfg.order).invoke('echo', [1]), 1); const first = cookie
  await signIn(); assert.notEqual(cookie, first, 'a fresh id at every sign-in'); await until(() => socket.readyState === 3)
  assert.equal((await post('/api/auth/logout')).status, 204); assert.equal(await me(), 401); await k.disconnect(true)
  assert.equal(await rejection(new KinoticSingleton().connect(info(null)), 5000), 'Authentication required')
}), { timeout: 30000 })
test('session/signing out ends the connection', () => inBrowser(async () => {
  await signIn(); const { k, socket } = await open(); let fatal; k.eventBus.fatalErrors.subscribe(e => fatal = e); await post('/api/auth/logout')
  await until(() => socket.readyState === 3, 1000); await until(() => fatal, 15000); assert.equal(fatal.message, 'Authentication required')
}), { timeout: 30000 })
test('session/a wrong password, and a page of another site', () => inBrowser(async () => {
  const refused = await signIn({ ...cfg.alice, pw: 'no' }); assert.equal(refused.status, 401); assert.deepEqual(await refused.json(), { error: 'Invalid credentials' })
  await signIn(); const evil = await plain(site + path, { method: 'POST', headers: { 'content-type': 'application/json', cookie, origin: 'https://evil.example' }, body: '{}' }); assert.equal(evil.status, 403)
}))
for (const [mode, status] of [['NONE', 401], ['ACTIVITY', 204], ['CONNECTION', 204]])
  test(`session/keep-alive ${mode}: what is left of the session when the socket goes`, () => inBrowser(async () => {
    await signIn(); const { k } = await open({ sessionKeepAlive: mode }); await k.disconnect(); await until(async () => await me() === status, 3000)
  }))
