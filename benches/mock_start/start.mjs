// Time from the start of a mock issuer to the first response of its discovery endpoint.
//
//   cargo build --release --features mock-cli --bin kycport-mock
//   npm ci --prefix benches/mock_start && node benches/mock_start/start.mjs
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROUNDS = 20
const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const binary = process.env.KYCPORT_MOCK ?? here('../../target/release/kycport-mock')

// Each server prints one JSON line with `discovery_url` when it listens.
const contestants = {
  'kycport-mock': [binary, '--bind', '127.0.0.1:0', '--print', 'json', '--quiet'],
  'oauth2-mock-server': [process.execPath, here('oauth2_mock_server.mjs')],
  'oidc-provider': [process.execPath, here('oidc_provider.mjs')],
}

async function start([program, ...flags]) {
  const begin = performance.now()
  const child = spawn(program, flags, { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = await once(child.stdout, 'data')
  const answer = await fetch(JSON.parse(line).discovery_url)
  const document = await answer.json()
  const time = performance.now() - begin
  if (!answer.ok || !document.jwks_uri) throw new Error('that is no discovery document')
  const memory = Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1])
  child.kill('SIGKILL')
  await once(child, 'exit')
  return { time, memory }
}

const runs = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]))
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, command] of Object.entries(contestants)) {
    const run = await start(command)
    if (round > 0) runs[name].push(run) // the first run reads the disk
  }
}
console.log(`start to first discovery answer, ${ROUNDS} each, in turn, ms; memory then, MiB`)
for (const [name, all] of Object.entries(runs)) {
  const times = all.map((run) => run.time).sort((a, b) => a - b)
  const memory = Math.max(...all.map((run) => run.memory)) / 1024
  const [min, median, max] = [times[0], times[times.length >> 1], times[times.length - 1]].map((ms) => ms.toFixed(1))
  console.log(`${name.padEnd(20)} min ${min}  median ${median}  max ${max}  ${memory.toFixed(0)} MiB`)
}
