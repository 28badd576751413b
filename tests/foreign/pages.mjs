// Tests pages in Chromium and in Firefox: the pages of the examples, the SDK, the mock and the
// mock's console. axe-core checks the accessibility of each page at the width of a telephone and of
// a desktop screen. The program presses every button and link that it has seen on a page.
//
//     npm ci && cargo build --bins --examples && node pages.mjs [chromium] [firefox]
//
// `KYCPORT_TARGET` is the directory of the built programs. Default: `target/debug`. The
// program writes a picture of each page into the directory `SHOTS`.

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import axe from 'axe-core'
import puppeteer from 'puppeteer-core'

const target = process.env.KYCPORT_TARGET ?? join(dirname(fileURLToPath(import.meta.url)), '../../target/debug')
const shots = process.env.SHOTS
const launch = {
  chromium: { browser: 'chrome', executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] },
  firefox: { browser: 'firefox', executablePath: '/usr/bin/firefox-esr' },
}
const widths = [[390, 844], [1280, 900]]
// Maximum wait on a slow test machine.
const patience = 30_000

async function tour(name) {
  const began = Date.now()
  const children = []
  const browser = await puppeteer.launch({ ...launch[name], headless: true, protocolTimeout: patience })
  const visitor = new Visitor(name, browser)
  try {
    await tenantApp(visitor, await start(children, 'examples/sign_in', {}))
    await devices(visitor, await start(children, 'examples/instances', {}))
    await capture(visitor, await start(children, 'examples/host_your_own_capture', {}))
    await outage(visitor, children)
    visitor.conclude()
    console.log(`ok ${name} ${await browser.version()}: ${visitor.looked.size} pages, ${visitor.pressed.size} buttons and links, ${Math.round((Date.now() - began) / 1000)} s`)
  } catch (error) {
    await visitor.showLast()
    throw error
  } finally {
    await browser.close()
    for (const child of children) child.kill('SIGKILL')
  }
}

// ---- The tours

/** Tests the example `sign_in`, the pages of the SDK in this example, and the mock with its console. */
async function tenantApp(visitor, { home, console: at }) {
  const page = await visitor.open(home)
  await visitor.look('app, signed out')
  await visitor.press('Sign in with KYCPort')
  await visitor.look('authorize')
  await visitor.press('Deny')
  await visitor.lookAtOwn('declined', 403)
  await visitor.press('Sign in')
  await visitor.signIn('Grace Hopper')
  await visitor.look('app, signed in')

  // The step-up stays pending until KYCPort decides.
  await visitor.press('Open the vault')
  await visitor.signIn('Grace Hopper')
  await visitor.look('verify')
  await visitor.press('Stay pending')
  await visitor.lookAtOwn('pending', 403)
  // The page sends no request until the person acts.
  const asked = visitor.requests
  await new Promise((resolve) => setTimeout(resolve, 1500))
  equal(visitor.requests, asked, 'the pending page sends no request')
  await visitor.press('Check again')
  await visitor.lookAtOwn('pending', 403)
  const desk = await visitor.tab(at)
  await visitor.look('console')
  await visitor.press('Verify t2', 'Grace Hopper')
  await visitor.use(page)
  await visitor.press('Check again')
  await visitor.look('vault')

  await visitor.press('Withdraw 100 €')
  await visitor.look('withdrawn')
  await visitor.press('Back to the vault')
  await visitor.press('Home')
  await visitor.press('Open the vault')

  // If a person was signed out before sending the form, the app redirects the form to KYCPort.
  await page.evaluate(() => fetch('/auth/logout', { method: 'POST' }))
  await visitor.press('Withdraw 100 €')
  equal(new URL(page.url()).origin, new URL(at).origin, 'the form was redirected to KYCPort')
  await visitor.signIn('Grace Hopper')

  // KYCPort rejects the person, and the open page shows the rejection.
  const popup = new Promise((resolve) => page.once('popup', resolve))
  await visitor.press('Reject me at KYCPort', undefined, { stays: true })
  const opened = await popup
  await page.waitForSelector('#vault[data-is=locked]')
  await opened.close()
  await visitor.use(page)
  await visitor.look('vault, locked')
  await visitor.press('See what is needed')
  await visitor.signIn('Grace Hopper')
  await visitor.press('Fail')
  await visitor.lookAtOwn('rejected', 401)
  await visitor.press('Home')
  await visitor.goto(`${home}vault`)
  await visitor.signIn('Grace Hopper')
  await visitor.press('Go back without verifying')
  await visitor.lookAtOwn('rejected', 401)
  await visitor.press('Continue with KYCPort')
  await visitor.signIn('Grace Hopper')
  await visitor.press('Verify')
  await visitor.look('vault')

  // The anti-money-laundering check does not clear the person.
  await visitor.use(desk)
  await visitor.goto(at)
  await visitor.press('AML hit', 'Grace Hopper')
  await visitor.use(page)
  await visitor.press('Withdraw 100 €')
  await visitor.lookAtOwn('AML not clear', 403)
  await visitor.use(desk)
  await visitor.press('AML clear', 'Grace Hopper')

  // Another person completes the step-up.
  await visitor.use(page)
  await visitor.goto(`${home}auth/step-up?tier=t3`)
  await visitor.signIn('Ada Lovelace')
  await visitor.press('Verify')
  await visitor.lookAtOwn('somebody else', 403)

  // No page of the app sends these requests.
  for (const [path, status] of [
    ['auth/logout', 405],
    ['auth/callback', 400],
    ['auth/callback?error=access_denied', 400],
    ['auth/step-up?tier=t9', 400],
  ]) {
    await visitor.goto(home + path)
    await visitor.lookAtOwn(path, status)
  }
  await visitor.goto(home)
  await visitor.send(`${home}auth/logout`, 'multipart/form-data')
  await visitor.lookAtOwn('malformed form', 400)
  await visitor.use(desk)
  await visitor.send(`${home}auth/logout`, 'application/x-www-form-urlencoded')
  await visitor.lookAtOwn('cross-site', 403)
  await visitor.use(page)
  await visitor.goto(home)

  await forgotten(visitor, home, at, 'Grace Hopper')
  await hosted(visitor, at)
  await desktop(visitor, at)
  await visitor.use(page)
  await visitor.goto(home)
  await visitor.closeOthers()
}

/** Tests that no page shows personal data after the session has ended, in another tab and after Back. */
async function forgotten(visitor, home, at, name) {
  const page = visitor.page
  await visitor.goto(home)
  await shows(page, name)
  await visitor.goto(at)
  const other = await visitor.tab(home)
  const third = await visitor.tab(`${home}vault`)
  await shows(third, name)
  await visitor.use(other)
  await visitor.press('Sign out')
  await third.bringToFront()
  await hides(third, home, name)
  await page.bringToFront()
  await back(page)
  await hides(page, home, name)
  await third.close()
  await other.close()
  await visitor.use(page)
}

/** Tests the pages of the mock that are not part of a login. */
async function hosted(visitor, at) {
  for (const [path, name] of [
    ['nothing', 'mock, not found'],
    ['authorize?client_id=nobody', 'mock, invalid request'],
    ['verify', 'mock, verification'],
  ]) {
    await visitor.goto(at + path)
    await visitor.look(name)
  }
  await visitor.press('Continue')
  await visitor.goto(at)
  await visitor.press('Verify t2', 'Ada Lovelace')
  await visitor.goto(`${at}verify`)
  await visitor.press('Go back without verifying')
  await visitor.press('Verify')
  await visitor.press('Continue')
  const stranger = await visitor.stranger(`${at}verify`)
  await visitor.look('mock, not signed in')
  await visitor.leave(stranger)
}

/** Tests every button of the console, and uses the keyboard where this makes a difference. */
async function desktop(visitor, at) {
  await visitor.goto(at)
  for (const button of ['Verify t1', 'Verify t2', 'Verify t3', 'Pending', 'Reject', 'Expire']) {
    await visitor.press(button, 'Grace Hopper')
  }
  await visitor.page.waitForSelector('text/AML')
  await visitor.page.type('input[name=slug]', 'hedy')
  await visitor.page.select('select[name=tier]', 't3')
  await visitor.press('Create')
  await visitor.page.waitForSelector('text/hedy')
  await visitor.press('Repeat')
  await visitor.press('Rotate keys')
  await visitor.look('console, used')
  await visitor.page.setViewport({ width: 390, height: 844 })
  const scrolled = await visitor.page.evaluate(() => {
    const table = document.querySelector('.scroll')
    table.focus()
    return document.activeElement === table
  })
  equal(scrolled, true, 'the keyboard reaches a table')
  for (const button of ['+1 h', '+1 day', '+366 days']) await visitor.press(button)
}

/** Tests the example `instances` with two browsers of one person. */
async function devices(visitor, { home, console: at }) {
  const page = await visitor.open(home)
  await visitor.look('devices, signed out')
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Ada Lovelace')
  const other = await visitor.stranger(home)
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Ada Lovelace')
  await visitor.look('devices')
  await visitor.press('End it')
  await visitor.use(page)
  await visitor.goto(home)
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Ada Lovelace')

  // Another browser revokes the session. No cookie of this browser changes, and Chromium keeps the
  // page in its cache.
  await visitor.goto(at)
  await visitor.use(other)
  await visitor.goto(home)
  await visitor.press('Sign out everywhere')
  await visitor.use(page)
  await back(page)
  await hides(page, home, 'Your devices')
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Ada Lovelace')
  await visitor.press('Sign out here')
  await visitor.leave(other)
  await visitor.use(page)
}

/** Tests the example `host_your_own_capture` and the reviewer's buttons of the console. */
async function capture(visitor, { home, console: at }) {
  const page = await visitor.open(home)
  await visitor.look('capture, signed out')
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Rosalind Franklin')
  await visitor.look('capture')
  const send = async (sample, outcome) => {
    await visitor.press(sample, undefined, { stays: true })
    await page.waitForFunction(() => document.activeElement?.id === 'send')
    await visitor.press('Send to KYCPort', undefined, { stays: true })
    await page.waitForSelector(`#said[data-is=${outcome}]:not([hidden])`)
    await visitor.look(`capture, ${sample}`)
  }
  await send('No picture', 'problem')
  await send('Too large', 'problem')
  await send('Rejected', 'rejected')
  for (const [reviewer, outcome] of [['Reject', 'rejected'], ['Approve', 'approved']]) {
    await send('For a reviewer', 'review')
    const desk = await visitor.tab(at)
    await visitor.look('console, with a case')
    await visitor.press(reviewer, 'Rosalind Franklin to t2')
    await visitor.use(page)
    await desk.close()
    await page.waitForSelector(`#said[data-is=${outcome}]:not([hidden])`)
  }
  await visitor.look('capture, decided')
  await visitor.press('Sign out')
  await visitor.press('Sign in with KYCPort')
  await visitor.signIn('Katherine Johnson')
  for (const [reviewer, outcome] of [['Reject', 'rejected'], ['Approve', 'approved']]) {
    await send('For a reviewer', 'review')
    await visitor.press(reviewer, undefined, { stays: true })
    await page.waitForSelector(`#said[data-is=${outcome}]:not([hidden])`)
  }
  await send('Good ones', 'approved')
  await page.waitForSelector('#vault[data-is=open]')
}

/** Tests the example `sign_in` with a separate mock, which the test stops. */
async function outage(visitor, children) {
  const port = await freePort()
  const redirectUri = `http://127.0.0.1:${port}/auth/callback`
  const mock = await program(children, 'kycport-mock', {}, /^\{.*\}$/, ['--bind', '127.0.0.1:0', '--sample-persons', '--print', 'json', '--quiet', '--redirect-uri', redirectUri])
  const issuer = JSON.parse(mock.line)
  const { home } = await start(children, 'examples/sign_in', {
    BIND: `127.0.0.1:${port}`,
    KYCPORT_ISSUER: issuer.issuer,
    KYCPORT_DISCOVERY_URL: issuer.discovery_url,
    KYCPORT_API_BASE_URL: issuer.origin,
    KYCPORT_CLIENT_ID: issuer.client_id,
    KYCPORT_CLIENT_SECRET: issuer.client_secret,
    KYCPORT_TENANT_API_KEY: issuer.tenant_api_key,
    KYCPORT_REDIRECT_URI: redirectUri,
  })
  await visitor.open(`${home}vault`)
  await visitor.signIn('Ada Lovelace')
  mock.child.kill('SIGKILL')
  await visitor.press('Withdraw 100 €')
  await visitor.lookAtOwn('not known', 503)
  await visitor.press('Try again')
  await visitor.look('vault')
}

// ---- The visitor

class Visitor {
  /** Pages that axe has checked, buttons and links on these pages, and buttons and links that the visitor has pressed. */
  looked = new Set()
  seen = new Set()
  pressed = new Set()
  problems = []
  requests = 0

  constructor(name, browser) {
    Object.assign(this, { name, browser })
  }

  /** Opens the first tab of a person who has no cookie yet. */
  async open(url) {
    await this.context?.close()
    this.context = await this.browser.createBrowserContext()
    return this.tab(url)
  }

  async tab(url) {
    await this.use(await this.context.newPage())
    await this.goto(url)
    return this.page
  }

  /** Opens a tab of another browser, which shares no cookie with this browser. */
  async stranger(url) {
    const context = await this.browser.createBrowserContext()
    await this.use(await context.newPage())
    await this.goto(url)
    return this.page
  }

  async leave(page) {
    await page.browserContext().close()
    const [first] = await this.context.pages()
    await this.use(first)
  }

  async closeOthers() {
    for (const page of await this.context.pages()) if (page !== this.page) await page.close()
  }

  /** Moves this tab to the front, because a browser sends clicks only to the tab in front. */
  async use(page) {
    if (!this.known?.has(page)) {
      this.known ??= new WeakSet()
      this.known.add(page)
      page.setDefaultTimeout(patience)
      page.on('request', () => this.requests++)
      page.on('console', (said) => {
        // Browsers report violations of a page's content security policy only on the console.
        if (/content.security.policy/i.test(said.text())) this.problems.push(`${page.url()}: ${said.text()}`)
      })
      page.on('pageerror', (error) => {
        // Firefox reports this error for the event stream of a page that the person leaves.
        if (!/connection to the server/.test(error)) this.problems.push(`${page.url()}: ${error}`)
      })
    }
    this.page = page
    await page.bringToFront()
  }

  async goto(url) {
    this.answer = await this.page.goto(url)
  }

  /** Submits a form that the page does not contain. */
  async send(to, enctype) {
    const submit = (to, enctype) => {
      const form = document.createElement('form')
      Object.assign(form, { method: 'post', action: to, enctype })
      const field = document.createElement('input')
      Object.assign(field, { name: 'everywhere', value: '0' })
      form.append(field)
      document.body.append(form)
      form.submit()
    }
    const [answer] = await Promise.all([this.page.waitForNavigation(), this.page.evaluate(submit, to, enctype)])
    this.answer = answer
  }

  /** Chooses the person on KYCPort's page and allows the login. */
  async signIn(name) {
    const label = await this.page.waitForSelector(`label.person ::-p-text(${name})`)
    await label.click()
    await this.press('Allow')
  }

  /** Presses the button or link with this text. `row` selects the button or link beside that text. */
  async press(text, row, { stays = false } = {}) {
    const find = ([text, row]) => {
      const of = row ? [...document.querySelectorAll('li, tr')].find((it) => it.textContent.includes(row)) : document
      return [...(of?.querySelectorAll('a, button') ?? [])].find((it) => it.textContent.trim() === text && it.checkVisibility() && !it.disabled)
    }
    const found = await this.page.waitForFunction(find, {}, [text, row])
    if (stays) {
      await found.click()
    } else {
      const [answer] = await Promise.all([this.page.waitForNavigation(), found.click()])
      this.answer = answer
    }
    this.pressed.add(text)
  }

  /** Checks a page of the SDK. The page must forbid caching and must name the next step. */
  async lookAtOwn(name, status) {
    equal(this.answer.status(), status, `${name}: status`)
    equal(this.answer.headers()['cache-control'], 'no-store', `${name}: cache-control`)
    equal(await this.page.$$eval('nav a', (links) => links.length > 0), true, `${name}: the page has a link to the next step`)
    equal(await this.page.$$eval('meta[http-equiv]', (all) => all.length), 0, `${name}: a timer`)
    await this.look(`SDK, ${name}`)
  }

  /** Checks the page with axe if axe has not checked it before, and collects the page's buttons and links. */
  async look(name) {
    const controls = await this.page.$$eval('a[href], button', (all) => all.filter((it) => it.checkVisibility() && !it.disabled && !it.hasAttribute('download')).map((it) => it.textContent.trim()))
    for (const control of controls) this.seen.add(control)
    if (this.looked.has(name)) return
    this.looked.add(name)
    const page = this.page
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source)
    for (const [width, height] of widths) {
      await page.setViewport({ width, height })
      const found = await page.evaluate(async () => {
        const { violations } = await axe.run({ resultTypes: ['violations'], preload: false })
        const { scrollWidth, clientWidth } = document.documentElement
        const wide = scrollWidth > clientWidth ? [`scrolls sideways: ${scrollWidth} of ${clientWidth}`] : []
        const barriers = violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map((it) => it.html).join(' ')}`)
        return [...barriers, ...wide]
      })
      for (const problem of found) this.problems.push(`${name}, ${width} px: ${problem}`)
      if (shots) await this.shoot(`${name.replace(/[^a-z0-9]+/gi, '-')}-${width}`)
    }
  }

  async shoot(name) {
    mkdirSync(join(shots, this.name), { recursive: true })
    await this.page.screenshot({ path: join(shots, this.name, `${name}.png`), fullPage: true })
  }

  conclude() {
    for (const control of [...this.seen].filter((it) => !this.pressed.has(it))) {
      this.problems.push(`was never pressed: ${control}`)
    }
    if (this.problems.length > 0) throw new Error(this.problems.join('\n'))
  }

  async showLast() {
    const text = await this.page?.evaluate(() => document.body?.innerText).catch(() => '')
    console.log(`${this.name} was at ${this.page?.url()}:\n${text}\n${this.problems.join('\n')}`)
    if (shots && this.page) await this.shoot('LAST').catch(() => {})
  }
}

// ---- Waiting

/** Goes back like the Back button of a browser. The browser may show a cached page. */
async function back(page) {
  // The browser reports no navigation if it has kept the page in its cache.
  await page.goBack({ timeout: 3000 }).catch(() => {})
}

/** Returns whether the text is on the screen, on a page that has loaded completely. */
async function isShown(page, text) {
  return page.evaluate((text) => {
    if (document.readyState !== 'complete') return undefined
    return document.documentElement.checkVisibility() && document.body.innerText.includes(text)
  }, text).catch(() => undefined)
}

async function shows(page, text) {
  await until(async () => (await isShown(page, text)) === true, `${text} is shown at ${page.url()}`)
}

/** Asserts that the app hides the text and does not show it again. */
async function hides(page, home, text) {
  let hidden = 0
  await until(async () => {
    hidden = (await isShown(page, text)) === false && page.url().startsWith(home) ? hidden + 1 : 0
    return hidden > 5
  }, `${text} is not shown at ${page.url()}`)
}

async function until(holds, what) {
  for (const end = Date.now() + patience; Date.now() < end; ) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`not within ${patience} ms: ${what}`)
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`)
}

// ---- Programs

/** Starts an example, and reads its address. */
async function start(children, name, env) {
  const { line, said } = await program(children, name, { BIND: '127.0.0.1:0', ...env }, /^Open {2}/)
  const home = line.replace('Open', '').trim()
  const [, console] = said.match(/console at (\S+)/) ?? []
  return { home, console }
}

function program(children, name, env, sign, args = []) {
  const child = spawn(join(target, name), args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    let said = ''
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`${name} ended with ${code}: ${said}`)))
    child.stdout.setEncoding('utf8').on('data', (piece) => {
      said += piece
      const line = said.split('\n').slice(0, -1).find((line) => sign.test(line))
      if (line) resolve({ child, line, said })
    })
  })
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

// ---- The run

const named = process.argv.slice(2)
const toured = Object.keys(launch).filter((name) => named.length === 0 || named.includes(name))
const outcomes = await Promise.allSettled(toured.map(tour))
for (const [at, { status, reason }] of outcomes.entries()) {
  if (status === 'rejected') console.log(`NOT OK ${toured[at]}: ${reason.stack}`)
}
process.exit(outcomes.every((it) => it.status === 'fulfilled') ? 0 : 1)
