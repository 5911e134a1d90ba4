import { test, assert, cfg, connected, basic, BearerTokenAuthProvider, token, badToken, collect, rejection, sockets, sleep, until, within, core } from '../lib.mjs'
// A lost socket comes back after 2 s and up to 5 s of jitter, with a fresh call of the token function.
const back = async (k, socket) => { await until(() => sockets.at(-1) !== socket && k.eventBus.isConnected(), 20000); return sockets.at(-1) }
const supplier = of => { const s = { n: 0 }; s.auth = new BearerTokenAuthProvider(async () => of(++s.n)); return s }

test('reconnect/the token function is called again, and calls work again', async () => {
  const s = supplier(token); const { k, order, socket, connectedInfo } = await connected(s.auth); let fatal; k.eventBus.fatalErrors.subscribe(e => fatal = e)
  assert.equal(s.n, 1); socket.terminate(); const second = await back(k, socket)
  assert.equal(s.n, 2); assert.equal(await order.invoke('echo', ['back']), 'back')
  const info = JSON.parse(/connected-info:(.*)\n/.exec(second.frames.find(f => f[2].startsWith('CONNECTED'))[2])[1])
  assert.notEqual(info.replyToId, connectedInfo.replyToId, 'every connection gets its own replyToId'); assert.equal(fatal, undefined); await k.disconnect()
}, { timeout: 40000 })
test('reconnect/an expired token on the way back is 401, and the function is asked once more', async () => {
  const s = supplier(n => n === 2 ? badToken() : token(n)); const { k, order, socket } = await connected(s.auth); let fatal; k.eventBus.fatalErrors.subscribe(e => fatal = e)
  socket.terminate(); await back(k, socket); assert.equal(s.n, 3); assert.equal(await order.invoke('echo', [1]), 1); assert.equal(fatal, undefined)
  assert.equal(sockets.filter(x => x.refused === 401).length >= 1, true); await k.disconnect()
}, { timeout: 60000 })
test('reconnect/calls in flight fail, calls made while down are never executed, streams can be started again', async () => {
  const { k, order, socket } = await connected(basic(cfg.alice)); let fatal; k.eventBus.fatalErrors.subscribe(e => fatal = e)
  const before = await order.invoke('placed'); const inFlight = rejection(order.invoke('never'), 20000); const stream = collect(order.invokeStream('ticks', [20]))
  await sleep(100); socket.terminate(); await until(() => !k.eventBus.isConnected())
  const whileDown = rejection(order.invoke('placeOrder', [{ amount: 1 }]), 20000)
  const next = await back(k, socket); assert.ok(await inFlight); assert.ok(await whileDown); assert.ok((await within(stream, 10000)).error)
  await until(() => next.frames.some(f => f[0] === 'out' && f[2].includes('placeOrder')), 5000)
  await sleep(200); assert.equal(await order.invoke('placed'), before, 'the queued call carries a stale reply address and must not be executed')
  assert.deepEqual((await collect(order.invokeStream('countTo', [3]))).v, [1, 2, 3]); assert.equal(fatal, undefined); assert.ok(core); await k.disconnect()
}, { timeout: 60000 })
test('reconnect/with maxConnectionAttempts: 1 the first drop is fatal', async () => {
  const { k, order, socket } = await connected(basic(cfg.alice), { maxConnectionAttempts: 1 }); let fatal; k.eventBus.fatalErrors.subscribe(e => fatal = e)
  const inFlight = rejection(order.invoke('never'), 20000); socket.terminate(); await until(() => fatal, 15000)
  assert.equal(fatal.message, 'Max number of reconnection attempts reached'); assert.ok(await inFlight); assert.equal(k.eventBus.isConnectionActive(), false)
}, { timeout: 30000 })
test('reconnect/when its credential ends the connection is closed, and the function brings the next', async () => {
  const s = supplier(n => n === 1 ? `tok.${cfg.alice.login}.until.${Date.now() + 1500}` : token(n)); const { k, order, socket } = await connected(s.auth); let fatal, code
  k.eventBus.fatalErrors.subscribe(e => fatal = e); socket.on('close', c => code = c); const stream = collect(order.invokeStream('ticks', [20]))
  await until(() => code, 3000); assert.equal(code, 1008); assert.ok((await within(stream, 10000)).error); await back(k, socket)
  assert.equal(await order.invoke('echo', ['fresh']), 'fresh'); assert.equal(fatal, undefined); assert.ok(!socket.frames.some(f => f[2].startsWith('ERROR'))); await k.disconnect()
}, { timeout: 40000 })
