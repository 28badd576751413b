// Memory of the mock after many logins, and with 200 issuers in one process.
//
//   cargo build --release --features mock-cli --bin kycport-mock
//   node benches/mock_start/logins.mjs
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const MARKS = [0, 1_000, 10_000, 20_000, 30_000, 40_000]
const AT_ONCE = 16
const ISSUERS = 200
const binary = process.env.KYCPORT_MOCK ?? fileURLToPath(new URL('../../target/release/kycport-mock', import.meta.url))
// Example from RFC 7636, appendix B.
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const code_verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const redirect_uri = 'http://127.0.0.1:3000/auth/callback'

async function start() {
  const child = spawn(binary, ['--bind', '127.0.0.1:0', '--print', 'json', '--quiet', '--sample-persons', '--until-stdin-ends'])
  const [line] = await once(child.stdout, 'data')
  const status = (name) => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(new RegExp(`${name}:\\s+(\\d+)`))[1])
  return { kyc: JSON.parse(line), child, status }
}

async function login(kyc) {
  const { client_id, client_secret } = kyc
  const query = new URLSearchParams({ response_type: 'code', client_id, redirect_uri, scope: 'openid kyc', state: 's', nonce: 'n', code_challenge: challenge, code_challenge_method: 'S256' })
  const body = new URLSearchParams({ person: 'ada', decision: 'allow' })
  const allowed = await fetch(`${kyc.origin}/authorize?${query}`, { method: 'POST', redirect: 'manual', body })
  const code = new URL(allowed.headers.get('location')).searchParams.get('code')
  const grant = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri, client_id, client_secret, code_verifier })
  const tokens = await (await fetch(`${kyc.origin}/api/oidc/token/`, { method: 'POST', body: grant })).json()
  const userinfo = await fetch(`${kyc.origin}/api/oidc/userinfo/`, { headers: { authorization: `Bearer ${tokens.access_token}` } })
  if ((await userinfo.json()).kyc_status !== 'verified') throw new Error('nobody signed in')
}

const register = (kyc) => fetch(`${kyc.admin_url}/environment`, { method: 'POST', body: JSON.stringify({ redirect_uri }), headers: { 'content-type': 'application/json' } })
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB`

const one = await start()
await register(one.kyc)
let done = 0
for (const mark of MARKS) {
  const begin = performance.now()
  const count = mark - done
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (done < mark) {
      done++
      await login(one.kyc)
    }
  }))
  const rate = count ? `, ${Math.round((count / (performance.now() - begin)) * 1000)} logins a second` : ''
  console.log(`after ${String(mark).padStart(6)} logins: ${mib(one.status('VmRSS'))}${rate}`)
}
one.child.kill()

const many = await start()
const alone = many.status('VmRSS')
const begin = performance.now()
const all = []
for (let n = 0; n < ISSUERS; n++) {
  const opened = await fetch(`${many.kyc.admin_url}/sandboxes`, { method: 'POST' })
  all.push((await opened.json()).issuer)
}
const opened = performance.now()
for (const kyc of all) {
  await register(kyc)
  await login(kyc)
}
console.log(`${ISSUERS} issuers in one process: ${((opened - begin) / ISSUERS).toFixed(1)} ms each to open; after a login at each ${many.status('Threads')} threads, ${mib(many.status('VmRSS'))}, before them ${mib(alone)}`)
many.child.kill()
