// Signs in at the mock in KYCPORT_MOCK_URL, or at a new mock. Needs Node 20 and no packages.
import { spawn } from 'node:child_process'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

const json = (method, url, body) => fetch(url, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }).then((answer) => answer.json())
const mock = process.env.KYCPORT_MOCK_URL ? null // the started mock exits with this script
  : spawn(process.env.KYCPORT_MOCK ?? 'kycport-mock', ['--bind', '127.0.0.1:0', '--print', 'json', '--quiet', '--until-stdin-ends'])
const kyc = mock ? JSON.parse((await once(mock.stdout, 'data'))[0]) : (await json('POST', `${process.env.KYCPORT_MOCK_URL}/__mock/sandboxes`)).issuer

const app = createServer().listen(0, '127.0.0.1') // receives webhooks
await once(app, 'listening')
const base = `http://127.0.0.1:${app.address().port}`
const [client_id, redirect_uri, code_verifier] = [kyc.client_id, `${base}/callback`, randomBytes(32).toString('base64url')]
await json('POST', `${kyc.admin_url}/environment`, { redirect_uri })
await json('POST', `${kyc.admin_url}/webhooks/endpoints`, { url: `${base}/hooks` })
const ada = await json('POST', `${kyc.admin_url}/persons`, { slug: 'ada', tier: 't2' })
const at = await json('GET', kyc.discovery_url)
const query = new URLSearchParams({ response_type: 'code', client_id, redirect_uri, scope: 'openid kyc', state: 's', nonce: 'n', code_challenge: createHash('sha256').update(code_verifier).digest('base64url'), code_challenge_method: 'S256' })
const allowed = await fetch(`${at.authorization_endpoint}?${query}`, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ person: ada.id, decision: 'allow' }) })
const code = new URL(allowed.headers.get('location')).searchParams.get('code')
const tokens = await (await fetch(at.token_endpoint, { method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri, client_id, client_secret: kyc.client_secret, code_verifier }) })).json()
const { kyc_status, kyc_tier } = await (await fetch(at.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })).json()

const [[request, answer]] = await Promise.all([once(app, 'request'), json('PATCH', `${kyc.admin_url}/persons/ada`, { status: 'rejected' })])
const body = Buffer.concat(await request.toArray())
const signed = request.headers['x-kycport-signature'] === `sha256=${createHmac('sha256', kyc.webhook_secret).update(body).digest('hex')}`
answer.writeHead(204).end(() => process.exit(signed ? 0 : 1))
console.log(`ada signed in: ${kyc_status} ${kyc_tier}; then the webhook reported: ${JSON.parse(body).data.kyc_status}${signed ? ', with a valid signature' : ', WITH AN INVALID SIGNATURE'}`)
