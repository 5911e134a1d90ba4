// Signs in on the pages in a real browser, with a second factor that is set up on the way, and signs out again.
//   node login.mjs ORIGIN QUESTION CALLBACK EMAIL PASSWORD
// QUESTION is what a client sends the browser to `authorize` with. Chromium is Debian's, that of $CHROMIUM, or one from npm.
// Prints one JSON line: where the browser was sent back to, by the first sign-in and the second.
import { createHmac } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const [origin, question, callback, email, password] = process.argv.slice(2)
const installed = [process.env.CHROMIUM, '/usr/bin/chromium'].find((path) => path && existsSync(path))
const executablePath = installed ?? (await (await import('@sparticuz/chromium')).default.executablePath())
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--headless=shell',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']

/** The code of a step, as an app shows it. */
function code(secret, step) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const seed = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const time = Buffer.alloc(8)
  time.writeBigInt64BE(BigInt(step))
  const hash = createHmac('sha1', seed).update(time).digest()
  const at = hash[19] & 15
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

// The client, to which the browser is sent back.
const client = createServer((_, answer) => answer.end('back')).listen(new URL(callback).port, '127.0.0.1')
const browser = await chromium.launch({ executablePath, args, headless: true })
try {
  const page = await browser.newPage()
  const scripts = []
  page.on('pageerror', (error) => scripts.push(String(error)))
  const submit = () => page.getByRole('button', { name: /^(Sign in|Go on)$/ }).click()
  const byPassword = async () => {
    await page.goto(`${origin}${question}`)
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Password').fill(password)
    await submit()
  }
  const sentBack = async () => {
    await page.waitForURL(`${callback}**`)
    return page.url()
  }
  const signOut = async () => {
    await page.goto(`${origin}/api/auth/oauth/end_session`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByText('You are signed out.').waitFor()
    const left = await page.context().cookies()
    if (left.some((cookie) => cookie.name.includes('session'))) throw new Error('the cookie of the session is left')
  }

  await byPassword()
  const secret = await page.locator('code').innerText()
  // Nothing lets anybody in before the code.
  if ((await page.context().cookies()).length !== 0) throw new Error('a cookie before the second factor')
  const step = Math.floor(Date.now() / 30_000)
  await page.getByLabel('Code').fill('000000')
  await submit()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Code').fill(code(secret, step - 1))
  await submit()
  await page.getByText('Keep these codes').waitFor()
  const recovery = await page.locator('li code').count()
  const [session] = await page.context().cookies()
  if (!session.httpOnly || !session.secure || session.sameSite !== 'Lax') throw new Error('the cookie is not closed')
  await page.getByRole('link', { name: 'Go on' }).click()
  const first = await sentBack()
  await signOut()

  await byPassword()
  await page.getByLabel('Code').fill(code(secret, step))
  await submit()
  const second = await sentBack()
  await signOut()
  await page.goto(`${origin}${question}`)
  const asksAgain = await page.getByLabel('Password').isVisible()
  console.log(JSON.stringify({ first, second, recovery, asksAgain, scripts }))
} finally {
  await browser.close()
  client.close()
}
