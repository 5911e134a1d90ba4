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
test('host/a service with a scope is called by its scope, and by no other', async () => {
  class Node { get id() { return 'node-7' } where() { return 'here' } }
  core.Scope(Object.getOwnPropertyDescriptor(Node.prototype, 'id').get, { kind: 'getter' })
  await within(Kinotic.connect(info(basic(cfg.alice))), 5000, 'connect'); new (Publish('com.example.hosted', 'Scoped')(Node, { kind: 'class' }))()
  const b = await connected(basic(cfg.bob)); const node = b.k.serviceProxy('com.example.hosted.Scoped')
  await until(() => node.invoke('where', [], 'node-7').then(v => v === 'here', () => false))
  await assert.rejects(node.invoke('where', []), Error); await assert.rejects(node.invoke('where', [], 'node-8'), Error); await b.k.disconnect(); await Kinotic.disconnect()
})
test('host/a service with a zone and a version is called without the version', async () => {
  class Zoned { where() { return 'zoned' } }
  Kinotic.zonePrefix = 'app.default.orders'; core.Zone('inner')(Zoned, { kind: 'class' }); core.Version('1.2.3')(Zoned, { kind: 'class' })
  try {
    await within(Kinotic.connect(info(basic(cfg.alice))), 5000, 'connect'); new (Publish('com.example.hosted', 'Zoned')(Zoned, { kind: 'class' }))()
    const b = await connected(basic(cfg.bob)); const zoned = b.k.serviceProxy('app.default.orders.inner~com.example.hosted.Zoned')
    await until(() => zoned.invoke('where').then(v => v === 'zoned', () => false))
    await assert.rejects(b.k.serviceProxy('com.example.hosted.Zoned').invoke('where'), Error); await b.k.disconnect(); await Kinotic.disconnect()
  } finally { Kinotic.zonePrefix = null }
})
