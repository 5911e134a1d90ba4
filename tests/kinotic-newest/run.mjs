// The newest @kinotic-ai/core that the registry has, unmodified, against the acceptance gateway. Its options have other
// names than those of 4.0.0, so this is a suite of its own; what both speak is in ../kinotic-client.
import assert from 'node:assert/strict'
import WS from 'ws'

const port = Number(process.env.KINOTIC_PORT ?? '58503')
const sockets = []
globalThis.WebSocket = class extends WS {
  constructor(...a) { super(...a); sockets.push(this); this.on('unexpected-response', () => { this.emit('error', new Error('refused')); this.terminate() }) }
}
const { KinoticSingleton, BasicCredentialsResolver, BearerCredentialsResolver } = await import('@kinotic-ai/core')
const server = { host: '127.0.0.1', port, useSSL: false }
const service = 'com.example.OrderService'
const alice = new BasicCredentialsResolver('alice@example.com', 'alice-pw')
const within = (p, ms = 5000) => Promise.race([p, new Promise((_, no) => setTimeout(() => no(new Error(`pending after ${ms} ms`)), ms).unref())])
const open = async (credentials, more = {}) => {
  const kinotic = new KinoticSingleton()
  const info = await within(kinotic.connect({ server, credentials, ...more }))
  return { kinotic, info, orders: kinotic.serviceProxy(service), socket: sockets.at(-1) }
}
const refused = async p => { let value; try { value = await within(p) } catch (error) { return error } assert.fail('not refused: ' + JSON.stringify(value)) }
const text = error => typeof error === 'string' ? error : error.message
const cases = []
const test = (name, body) => cases.push([name, body])

test('password: who is connected', async () => {
  const { kinotic, info, orders } = await open(alice)
  assert.equal(info.participant.id, 'u-alice')
  assert.deepEqual(await orders.invoke('echo', [{ a: [1, 'ü', null] }]), { a: [1, 'ü', null] })
  assert.equal((await orders.invoke('whoami')).id, 'u-alice')
  await within(kinotic.disconnect())
})
test('a wrong password is refused at once', async () => {
  const error = await refused(new KinoticSingleton().connect({ server, credentials: new BasicCredentialsResolver('alice@example.com', 'no') }))
  assert.doesNotMatch(text(error), /pending/)
})
test('a token function is called again after a dropped connection', async () => {
  let calls = 0
  const { kinotic, orders, socket } = await open(new BearerCredentialsResolver(async () => `tok.alice@example.com.${++calls}`))
  const before = calls
  socket.terminate()
  for (const until = Date.now() + 20000; calls === before && Date.now() < until;) await new Promise(r => setTimeout(r, 100))
  assert.ok(calls > before)
  let value
  for (const until = Date.now() + 10000; value !== 7 && Date.now() < until;) { value = await within(orders.invoke('echo', [7])).catch(() => null); await new Promise(r => setTimeout(r, 100)) }
  assert.equal(value, 7)
  await within(kinotic.disconnect())
})
test('policies allow and deny, and a denial ends nothing', async () => {
  const { kinotic, orders } = await open(alice)
  assert.equal((await orders.invoke('placeOrder', [{ amount: 10 }])).amount, 10)
  assert.match(text(await refused(orders.invoke('placeOrder', [{ amount: 50000 }]))), /ACCESS_DENIED/)
  assert.equal(await orders.invoke('echo', ['still here']), 'still here')
  const bob = await open(new BasicCredentialsResolver('bob@example.com', 'bob-pw'))
  assert.match(text(await refused(bob.orders.invoke('placeOrder', [{ amount: 10 }]))), /ACCESS_DENIED/)
  await within(bob.kinotic.disconnect())
  await within(kinotic.disconnect())
})
test('errors of services', async () => {
  const { kinotic, orders } = await open(alice)
  assert.equal(text(await refused(orders.invoke('fail', ['no: way']))), 'no: way')
  await refused(orders.invoke('noSuchMethod'))
  await refused(kinotic.serviceProxy('com.example.Nothing').invoke('x'))
  assert.equal(await orders.invoke('voidNull'), null)
  await within(kinotic.disconnect())
})
test('300 calls at once', async () => {
  const { kinotic, orders } = await open(alice)
  const values = await within(Promise.all(Array.from({ length: 300 }, (_, n) => orders.invoke('echo', [n]))), 20000)
  assert.deepEqual(values, Array.from({ length: 300 }, (_, n) => n))
  await within(kinotic.disconnect())
})
test('streams, their end, and leaving one', async () => {
  const { kinotic, orders } = await open(alice)
  const all = await within(new Promise((yes, no) => { const v = []; orders.invokeStream('countTo', [3]).subscribe({ next: x => v.push(x), error: no, complete: () => yes(v) }) }))
  assert.deepEqual(all, [1, 2, 3])
  const first = await within(new Promise((yes, no) => { const s = orders.invokeStream('ticks', [10]).subscribe({ next: x => { if (x >= 2) { s.unsubscribe(); yes(x) } }, error: no }) }))
  assert.equal(first, 2)
  for (const until = Date.now() + 3000; await orders.invoke('activeStreams') > 0 && Date.now() < until;) await new Promise(r => setTimeout(r, 50))
  assert.equal(await orders.invoke('activeStreams'), 0)
  await within(kinotic.disconnect())
})

let failed = 0
for (const [name, body] of cases) {
  try { await body(); console.log('ok ' + name) } catch (error) { failed++; console.log('not ok ' + name + '\n  ' + (error?.stack ?? error)) }
}
console.log(`${cases.length - failed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
