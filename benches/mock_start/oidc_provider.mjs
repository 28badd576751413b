// Starts the server with its development keys, its in-memory store, and one client.
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

console.warn = console.info = () => {}
const server = createServer().listen(0, '127.0.0.1', () => {
  const origin = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(origin, {
    clients: [{ client_id: 'app', client_secret: 'secret', redirect_uris: ['http://127.0.0.1:3000/callback'] }],
  })
  server.on('request', provider.callback())
  console.log(JSON.stringify({ discovery_url: `${origin}/.well-known/openid-configuration` }))
})
