import { test, assert, cfg, connected, basic, info, KinoticSingleton, rejection, within, sleep, until } from '../lib.mjs'
test('lifecycle/disconnect is answered by a RECEIPT, and connect works again', async () => {
  const { k, socket } = await connected(basic(cfg.alice)); await within(k.disconnect(), 3000)
  const receipt = /receipt:(close-\d+)/.exec(socket.frames.find(f => f[2].startsWith('DISCONNECT'))[2])[1]
  assert.ok(socket.frames.some(f => f[0] === 'in' && f[2].startsWith('RECEIPT') && f[2].includes(`receipt-id:${receipt}`)))
  await within(k.connect(info(basic(cfg.alice))), 5000); assert.equal(await k.serviceProxy(cfg.order).invoke('echo', [1]), 1); await k.disconnect()
})
test('lifecycle/a call in flight at disconnect is rejected', async () => {
  const { k, order } = await connected(basic(cfg.alice)); const e = rejection(order.invoke('never'), 5000); await sleep(50); await within(k.disconnect(), 3000); assert.ok(await e)
})
test('lifecycle/disconnect by force drops the socket', async () => {
  const { k, socket } = await connected(basic(cfg.alice)); await within(k.disconnect(true), 3000); await until(() => socket.readyState === 3)
})
test('lifecycle/100 connections at once', async () => {
  const all = await Promise.all(Array.from({ length: 100 }, () => connected(basic(cfg.alice))))
  assert.deepEqual(await Promise.all(all.map((c, i) => c.order.invoke('echo', [i]))), all.map((_, i) => i)); assert.equal(new Set(all.map(c => c.connectedInfo.replyToId)).size, 100)
  await Promise.all(all.map(c => c.k.disconnect()))
}, { timeout: 30000 })
for (const mode of ['NONE', 'ACTIVITY', 'CONNECTION'])
  test(`lifecycle/session-keep-alive ${mode} is taken`, async () => {
    const { k, socket } = await connected(basic(cfg.alice), { sessionKeepAlive: mode }); assert.ok(socket.frames[0][2].includes(`\nsession-keep-alive:${mode}\n`)); await k.disconnect()
  })
test('lifecycle/without a session /api/auth/me is 401, and connect() fails at once', async () => {
  assert.equal((await fetch(`http://${cfg.host}:${cfg.port}/api/auth/me`)).status, 401)
  assert.equal(await rejection(new KinoticSingleton().connect(info(null)), 5000), 'Authentication required')
})
test('lifecycle/a name with a Rust implementation is never hosted', async () => {
  const a = await connected(basic(cfg.alice)), b = await connected(basic(cfg.bob)); let fatal; a.k.eventBus.fatalErrors.subscribe(e => fatal = e)
  const got = []; a.k.eventBus.observe(`srv://${cfg.order}`).subscribe({ next: e => got.push(e), error: () => {} }); await sleep(100)
  assert.equal(await b.order.invoke('echo', ['real']), 'real'); assert.equal(got.length, 0)
  assert.equal(await a.order.invoke('echo', [1]), 1); assert.equal(fatal, undefined); await a.k.disconnect(); await b.k.disconnect()
})
test('lifecycle/heart-beats: the client says every 30 s that it lives, as the gateway asks, and stays connected', async () => {
  const { k, order, socket } = await connected(basic(cfg.alice)); assert.match(socket.frames[1][2], /\nheart-beat:30000,30000\n/)
  const beats = () => socket.frames.filter(f => f[0] === 'out' && f[2] === '\n' && !f[1]).length
  await until(() => beats() === 1, 33000); assert.equal(await order.invoke('echo', [1]), 1); await k.disconnect()
}, { timeout: 40000 })
