// Signs in to the mock issuer with the certified library openid-client. The program performs one
// login for each case. The library must accept the valid tokens and reject the invalid tokens.
//
//     npm ci && node openid_client.mjs
//
// Environment variables: DISCOVERY_URL, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, and CASES, a JSON
// array of { name, loginHint, expect: "accept" | "refuse", claims? }. The mock consents immediately
// for the person in `login_hint`. The program prints a line for each case, and a final line.

import * as client from 'openid-client'

const { DISCOVERY_URL, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, CASES } = process.env

const config = await configuration()
let [passed, failed] = [0, 0]
for (const test of JSON.parse(CASES)) {
  const outcome = await verdict(test)
  const good = outcome.verdict === test.expect
  good ? passed++ : failed++
  console.log(`${good ? 'ok' : 'NOT OK'} ${test.name}: ${outcome.verdict} (${outcome.why})`)
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

// The library cannot derive the URL of the discovery document, because the issuer is not a prefix
// of this URL (K2).
async function configuration() {
  const answer = await fetch(DISCOVERY_URL)
  const metadata = await answer.json()
  const party = {
    client_secret: CLIENT_SECRET,
    id_token_signed_response_alg: 'EdDSA',
  }
  const config = new client.Configuration(metadata, CLIENT_ID, party)
  // Without these options, the library does not verify signatures of tokens received over TLS.
  client.enableNonRepudiationChecks(config)
  return config
}

async function verdict(test) {
  const begun = await begin(test.loginHint)
  let claims
  try {
    claims = await finish(begun)
  } catch (error) {
    return { verdict: 'refuse', why: error.code ?? error.name }
  }
  for (const [name, value] of Object.entries(test.claims ?? {})) {
    if (claims[name] !== value) return { verdict: 'wrong', why: `${name} is ${claims[name]}` }
  }
  return { verdict: 'accept', why: Object.keys(claims).sort().join(' ') }
}

// Runs a login up to the callback. A failure before the callback is no verdict of the library and
// ends the program.
async function begin(loginHint) {
  const [verifier, state, nonce] = [
    client.randomPKCECodeVerifier(),
    client.randomState(),
    client.randomNonce(),
  ]
  let url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid email kyc',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    login_hint: loginHint,
    state,
    nonce,
  })
  while (!url.href.startsWith(REDIRECT_URI)) {
    const answer = await fetch(url, { redirect: 'manual' })
    const location = answer.headers.get('location')
    if (location === null) throw new Error(`${answer.status} and no redirect at ${url.pathname}`)
    url = new URL(location, url)
  }
  return { callback: url, verifier, state, nonce }
}

// Returns the claims of the ID token. Claims of userinfo replace claims of the same name.
async function finish({ callback, verifier, state, nonce }) {
  const tokens = await client.authorizationCodeGrant(config, callback, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  })
  const claims = tokens.claims()
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  return { ...claims, ...userinfo }
}
