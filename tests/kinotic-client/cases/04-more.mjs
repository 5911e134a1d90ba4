import { test, assert, cfg, connected, basic, core, info, KinoticSingleton, rejection, within } from '../lib.mjs'
import { KinoticOsCredentialsAuthProvider } from '@kinotic-ai/os-api'
const one = async f => { const c = await connected(basic(cfg.alice)); try { await f(c) } finally { await c.k.disconnect() } }
const alive = order => order.invoke('echo', ['alive']).then(v => assert.equal(v, 'alive'))

test('more/the headers of a scope: its own connects, another is refused, an application needs its organization', async () => {
  const by = (...scope) => new KinoticOsCredentialsAuthProvider(cfg.alice.login, cfg.alice.pw, ...scope)
  const { k, order } = await connected(by('acme', 'orders')); await alive(order); await k.disconnect()
  for (const scope of [['acme', 'other'], ['other', 'orders'], [undefined, 'orders']])
    await rejection(new KinoticSingleton().connect(info(by(...scope), { maxConnectionAttempts: 1 })), 8000)
})
test('more/connected-info says who it is, and the upgrade offers no sub-protocol', () => one(async ({ connectedInfo, socket }) => {
  assert.deepEqual(connectedInfo.participant.roles, ['finance', 'user']); assert.equal(connectedInfo.participant.metadata.email, cfg.alice.login)
  assert.ok(Object.values(connectedInfo.participant.metadata).every(v => typeof v === 'string')); assert.equal(socket.protocol, '')
}))
test('more/undefined among the arguments is null', () => one(async ({ order }) => assert.equal(await order.invoke('echo', [undefined]), null)))
test('more/too few and too many arguments are error replies', () => one(async ({ order }) => {
  for (const a of [[], [1, 2]]) await assert.rejects(within(order.invoke('echo', a), 5000), Error)
  await assert.rejects(within(order.invoke('whoami', [1]), 5000), Error); await alive(order)
}))
test('more/arguments as plain text are an error reply', () => one(async ({ k, order }) => {
  await assert.rejects(within(k.serviceProxy(cfg.order).invoke('echo', ['a', 'b'], null, new core.TextEventFactory()), 5000), Error); await alive(order)
}))
test('more/scope, zone and version in an address that nobody serves are error replies', () => one(async ({ k, order }) => {
  await assert.rejects(within(order.invoke('echo', [1], 'node-1'), 5000), Error)
  for (const id of [`some-zone~${cfg.order}`, `Bad_Zone~${cfg.order}`, 'a b']) await assert.rejects(within(k.serviceProxy(id).invoke('echo', [1]), 5000), Error)
  await alive(order)
}))
test('more/headers that begin with __ come back, others do not', () => one(async ({ k }) => {
  const ev = new core.JsonEventFactory().create(`srv://${cfg.order}/echo`, [1]); ev.setHeader('__mine', 'a: b'); ev.setHeader('other', 'x')
  const reply = await k.eventBus.request(ev); assert.equal(reply.getHeader('__mine'), 'a: b'); assert.equal(reply.hasHeader('other'), false)
}))
test('more/a refused order is not placed', async () => {
  const alice = await connected(basic(cfg.alice)), bob = await connected(basic(cfg.bob)); const before = await alice.order.invoke('placed')
  await assert.rejects(alice.order.invoke('placeOrder', [{ amount: 50000 }])); await assert.rejects(bob.order.invoke('placeOrder', [{ amount: 1 }]))
  assert.equal(await alice.order.invoke('placed'), before); await alice.order.invoke('placeOrder', [{ amount: 1 }])
  assert.equal(await alice.order.invoke('placed'), before + 1); await alice.k.disconnect(); await bob.k.disconnect()
})
test('more/a denial says the same to machines: code, class and decision', () => one(async ({ order, socket }) => {
  await assert.rejects(order.invoke('placeOrder', [{ amount: 50000 }]), /^Error: ACCESS_DENIED \(d-[0-9a-f]{32}\)$/)
  const reply = socket.frames.find(f => f[0] === 'in' && f[2].includes('\nerror:'))[2]; const body = JSON.parse(reply.split('\n\n')[1].replace('^@', ''))
  assert.equal(body.code, 'ACCESS_DENIED'); assert.match(body.exceptionClass, /AuthorizationException$/); assert.match(body.decision, /^d-/)
}))
test('more/a stream is refused by its policy before the first value', () => one(async ({ order }) => {
  const e = await new Promise(yes => order.invokeStream('ticks', ['soon']).subscribe({ next: () => yes(null), error: yes })); assert.ok(e instanceof Error); await alive(order)
}))
