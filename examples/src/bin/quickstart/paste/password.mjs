import WebSocket from 'ws'
import { BasicAuthProvider, BearerTokenAuthProvider, ConnectionInfo, Kinotic, createAuthenticatedWebSocketFactory } from '@kinotic-ai/core'
globalThis.WebSocket ??= WebSocket
const login = new BasicAuthProvider('LOGIN', 'PASSWORD')
const info = Object.assign(new ConnectionInfo(), { host: '127.0.0.1', port: 58503 })
info.webSocketFactory = createAuthenticatedWebSocketFactory(info, login)
await Kinotic.connect(info)
console.log(await Kinotic.serviceProxy('com.example.OrderService').invoke('placeOrder', [{ amount: 100 }]))
await Kinotic.disconnect()
