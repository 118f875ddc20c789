// Steps of an acceptance run: each is named, timed and printed as one line of JSON; the first that fails ends it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createHmac } from 'node:crypto'

export const place = {
  url: process.env.API_URL,
  anon: process.env.ANON_KEY,
  service: process.env.SERVICE_KEY,
  mail: process.env.MAIL_DIR,
}

export async function step(name, work) {
  const began = performance.now()
  try {
    const found = await work()
    console.log(JSON.stringify({ step: name, ok: true, ms: Math.round(performance.now() - began) }))
    return found
  } catch (error) {
    console.log(JSON.stringify({ step: name, ok: false, error: String(error?.stack ?? error) }))
    process.exit(1)
  }
}

// What a call of the library gave; its error, if any, is thrown.
export function good({ data, error }) {
  if (error) throw new Error(`${error.code} ${error.status ?? ''} ${error.message} ${JSON.stringify(error)}`)
  return data
}

export function bad({ data, error }) {
  if (!error) throw new Error(`this went well: ${JSON.stringify(data)}`)
  return error
}

export function newAddress() {
  return `${crypto.randomUUID().slice(0, 13)}@example.com`
}

// The newest letter to an address of one subject; waits until it is there.
export async function letter(to, subject) {
  const until = Date.now() + 30_000
  for (;;) {
    const found = await newest(to, subject)
    if (found) return found
    if (Date.now() > until) throw new Error(`no letter "${subject}" to ${to}`)
    await new Promise((wake) => setTimeout(wake, 50))
  }
}

async function newest(to, subject) {
  let names
  try {
    names = (await readdir(place.mail)).filter((name) => name.endsWith('.eml')).sort().reverse()
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
  for (const name of names) {
    const text = await readFile(join(place.mail, name), 'utf8')
    if (!text.includes(`To: ${to}\n`) || !text.includes(`Subject: ${subject}\n`)) continue
    const plain = text.replace(/=\n/g, '').replace(/=3D/g, '=')
    return { code: /Code: (\d{6})/.exec(plain)?.[1], link: /http:\S+\/verify\?\S+/.exec(plain)?.[0] }
  }
  return undefined
}

// A code of an authenticator app (RFC 6238).
export function totp(secret, stepsAhead = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + stepsAhead))
  const digest = createHmac('sha1', key).update(counter).digest()
  const at = digest[19] & 15
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
