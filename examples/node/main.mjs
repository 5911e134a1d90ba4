// Calls the quickstart's gateway from Node with the unmodified client from npm.
//
//   cargo run -- serve                                   # prints users, passwords and a fresh token
//   cd examples/node && npm install
//   LOGIN=alice@example.com PASSCODE=... npm start       # or TOKEN=... npm start
import WS from 'ws'

// Node 20 has no WebSocket of its own; the client takes the global one.
globalThis.WebSocket ??= WS

const { KinoticSingleton, ConnectionInfo, BasicAuthProvider, BearerTokenAuthProvider, createAuthenticatedWebSocketFactory } =
  await import('@kinotic-ai/core')

const { HOST = 'localhost', PORT = '58503', LOGIN, PASSCODE, TOKEN } = process.env
const { SERVICE = 'com.example.OrderService', METHOD = 'placeOrder', ARGUMENTS = '[{"amount":100}]' } = process.env

// A function is asked before every connection, the first and each one after a loss.
const auth = TOKEN ? new BearerTokenAuthProvider(async () => TOKEN) : new BasicAuthProvider(LOGIN, PASSCODE)

const info = new ConnectionInfo()
info.host = HOST
info.port = Number(PORT)
info.webSocketFactory = createAuthenticatedWebSocketFactory(info, auth)

const kinotic = new KinoticSingleton()
try {
  const { participant } = await kinotic.connect(info)
  console.log('connected as', participant.id, participant.roles.join(', '))
  try {
    console.log(METHOD, '->', JSON.stringify(await kinotic.serviceProxy(SERVICE).invoke(METHOD, JSON.parse(ARGUMENTS))))
  } catch (refused) {
    // The code and the id of the decision, such as: ACCESS_DENIED (d-..)
    console.log(METHOD, 'refused:', refused.message)
  }
  await kinotic.disconnect()
} catch (reason) {
  // A refused sign-in: a text, not an `Error`.
  console.error('not connected:', reason)
  process.exitCode = 1
}
