// Starts the server like the example in its README.
import { OAuth2Server } from 'oauth2-mock-server'

const server = new OAuth2Server()
await server.issuer.keys.generate('RS256')
await server.start(0, '127.0.0.1')
const { port } = server.address()
console.log(JSON.stringify({ discovery_url: `http://127.0.0.1:${port}/.well-known/openid-configuration` }))
