import { test, assert, cfg, connected, basic, info, core, sockets, sleep, until, within } from '../lib.mjs'
// `@Publish` always hosts on the global instance of the client. Decorators are called by hand, since this file is not compiled.
const { Kinotic, Publish } = core
class Greeter {
  greet(name) { return `hi ${name}` }
  async later(ms, v) { await sleep(ms); return v }
  fail(message) { throw new Error(message) }
  nothing() {}
}
let n = 0
const hosted = async f => {
  const name = `Greeter${++n}`
  await within(Kinotic.connect(info(basic(cfg.alice))), 5000, 'connect'); const socket = sockets.at(-1)
  new (Publish('com.example.hosted', name)(Greeter, { kind: 'class' }))()
  const b = await connected(basic(cfg.bob)); const greeter = b.k.serviceProxy(`${cfg.hostZone ? cfg.hostZone + '~' : ''}com.example.hosted.${name}`)
  await until(() => greeter.invoke('greet', ['x']).then(() => true, () => false))
  try { await f({ greeter, socket, b, name }) } finally { await b.k.disconnect(); await Kinotic.disconnect().catch(() => {}) }
}
test('host/a client calls a service of another client', () => hosted(async ({ greeter, socket }) => {
  assert.equal(await greeter.invoke('greet', ['bob']), 'hi bob'); assert.equal(await greeter.invoke('nothing'), null, 'no value is null')
  assert.deepEqual(await Promise.all([greeter.invoke('later', [80, 'slow']), greeter.invoke('later', [1, 'fast'])]), ['slow', 'fast'])
  await assert.rejects(greeter.invoke('fail', ['boom']), /boom/); await assert.rejects(greeter.invoke('greet', []), Error, 'wrong number of arguments'); await assert.rejects(greeter.invoke('nope'), Error)
  const asked = socket.frames.filter(f => f[0] === 'in' && f[2].includes('\nsender:')).at(0)[2]; assert.match(asked, /\nsender:.*"email"\\c"bob@example\.com"/)
}))
test('host/the sender cannot be forged', () => hosted(async ({ b, socket, name }) => {
  const ev = new core.JsonEventFactory().create(`srv://com.example.hosted.${name}/greet`, ['x']); ev.setHeader('sender', JSON.stringify({ id: 'u-alice', roles: ['finance'], metadata: {} }))
  await b.k.eventBus.request(ev); const senders = socket.frames.filter(f => f[0] === 'in' && f[2].includes('\nsender:')).map(f => /\nsender:(.*)\n/.exec(f[2])[1])
  assert.ok(senders.length > 0 && senders.every(s => s.includes('bob@example.com') && !s.includes('finance')))
}))
test('host/when the host goes, its callers are told', () => hosted(async ({ greeter }) => {
  const inFlight = greeter.invoke('later', [20000, 1]).then(() => null, e => e); await sleep(100); await Kinotic.disconnect()
  assert.ok(await within(inFlight, 3000) instanceof Error); await assert.rejects(within(greeter.invoke('greet', ['x']), 3000), Error)
}))
test('host/a service comes back with its connection', () => hosted(async ({ greeter, socket }) => {
  socket.terminate(); await until(() => greeter.invoke('greet', ['again']).then(v => v === 'hi again', () => false), 20000)
}), { timeout: 40000 })
