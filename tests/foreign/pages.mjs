// Operates the pages in Chromium and in Firefox: the examples', the SDK's own, the mock's and its
// console's. On each page axe-core looks for barriers, at the width of a telephone and of a desk,
// and every button and link that it saw there has been pressed in the end.
//
//     npm ci && cargo build --bins --examples && node pages.mjs [chromium] [firefox]
//
// `KYCPORT_TARGET` is the directory of the built programs; `target/debug` if it is not set. With
// `SHOTS` set, a picture of each page is written into the directory that it names.

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
// A test machine may be slow; nothing here waits for longer without a reason.
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

/** The example `sign_in`, the pages that the SDK shows in it, and the mock with its console. */
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

  // A step-up that stays pending, until KYCPort decides.
  await visitor.press('Open the vault')
  await visitor.signIn('Grace Hopper')
  await visitor.look('verify')
  await visitor.press('Stay pending')
  await visitor.lookAtOwn('pending', 403)
  // Nothing is requested until a person asks.
  const asked = visitor.requests
  await new Promise((resolve) => setTimeout(resolve, 1500))
  equal(visitor.requests, asked, 'requests of a page that waits')
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

  // A form of a person who was signed out meanwhile: its redirect leads to KYCPort.
  await page.evaluate(() => fetch('/auth/logout', { method: 'POST' }))
  await visitor.press('Withdraw 100 €')
  equal(new URL(page.url()).origin, new URL(at).origin, 'the form was redirected to KYCPort')
  await visitor.signIn('Grace Hopper')

  // KYCPort rejects the person, and the open page hears of it.
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

  // Not cleared of money laundering.
  await visitor.use(desk)
  await visitor.goto(at)
  await visitor.press('AML hit', 'Grace Hopper')
  await visitor.use(page)
  await visitor.press('Withdraw 100 €')
  await visitor.lookAtOwn('AML not clear', 403)
  await visitor.use(desk)
  await visitor.press('AML clear', 'Grace Hopper')

  // A step-up that comes back with somebody else.
  await visitor.use(page)
  await visitor.goto(`${home}auth/step-up?tier=t3`)
  await visitor.signIn('Ada Lovelace')
  await visitor.press('Verify')
  await visitor.lookAtOwn('somebody else', 403)

  // Requests that nothing of the app makes.
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

/** What is shown of a person does not outlast their session: in another tab, and by Back. */
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

/** The pages of the mock besides those of a login. */
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

/** Every button of the console, with the keyboard where that matters. */
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

/** The example `instances`: two browsers of one person. */
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

  // Revoked from elsewhere: no cookie of this browser changes, and Chromium keeps the page.
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

/** The example `host_your_own_capture`, with the reviewer's buttons of the console. */
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

/** The same app with a mock of its own, which ends. */
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
  /** Pages that axe has looked at, buttons and links that were there, and those that were pressed. */
  looked = new Set()
  seen = new Set()
  pressed = new Set()
  problems = []
  requests = 0

  constructor(name, browser) {
    Object.assign(this, { name, browser })
  }

  /** A person who has no cookie yet, and their first tab. */
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

  /** A tab of another browser, which shares no cookie with this one. */
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

  /** Makes this tab the one in front: a browser gives no click to another. */
  async use(page) {
    if (!this.known?.has(page)) {
      this.known ??= new WeakSet()
      this.known.add(page)
      page.setDefaultTimeout(patience)
      page.on('request', () => this.requests++)
      page.on('console', (said) => {
        // Browsers report only here what the policy of a page blocks.
        if (/content.security.policy/i.test(said.text())) this.problems.push(`${page.url()}: ${said.text()}`)
      })
      page.on('pageerror', (error) => {
        // Firefox says so of the event stream of a page that is left.
        if (!/connection to the server/.test(error)) this.problems.push(`${page.url()}: ${error}`)
      })
    }
    this.page = page
    await page.bringToFront()
  }

  async goto(url) {
    this.answer = await this.page.goto(url)
  }

  /** Submits a form that the page does not have. */
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

  /** Who they are, and that they allow it. */
  async signIn(name) {
    const label = await this.page.waitForSelector(`label.person ::-p-text(${name})`)
    await label.click()
    await this.press('Allow')
  }

  /** Presses the button or link with this text; with `row`, the one beside this text. */
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

  /** A page of the SDK itself: which no cache keeps, and which says what to do next. */
  async lookAtOwn(name, status) {
    equal(this.answer.status(), status, `${name}: status`)
    equal(this.answer.headers()['cache-control'], 'no-store', `${name}: cache-control`)
    equal(await this.page.$$eval('nav a', (links) => links.length > 0), true, `${name}: a way on`)
    equal(await this.page.$$eval('meta[http-equiv]', (all) => all.length), 0, `${name}: a timer`)
    await this.look(`SDK, ${name}`)
  }

  /** Has axe look at the page, unless it has, and collects its buttons and links. */
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

/** Goes back, as the button of a browser does, perhaps to a page that was kept. */
async function back(page) {
  // No navigation is seen if the page was kept.
  await page.goBack({ timeout: 3000 }).catch(() => {})
}

/** Whether the text is on the screen, by a page that has come and is not on its way. */
async function isShown(page, text) {
  return page.evaluate((text) => {
    if (document.readyState !== 'complete') return undefined
    return document.documentElement.checkVisibility() && document.body.innerText.includes(text)
  }, text).catch(() => undefined)
}

async function shows(page, text) {
  await until(async () => (await isShown(page, text)) === true, `${text} is shown at ${page.url()}`)
}

/** The text is not shown by the app, and stays so. */
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

/** Starts an example, and reads where it is. */
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
