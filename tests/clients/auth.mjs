// Sign-in through the unmodified @supabase/supabase-js.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'
import { bad, good, letter, newAddress, place, step, totp } from './steps.mjs'

const PASSWORD = 'a wedding in June'
const plain = { auth: { persistSession: false, autoRefreshToken: false } }
const fresh = (options = {}) => createClient(place.url, place.anon, { auth: { ...plain.auth, ...options } })
const admin = createClient(place.url, place.service, plain)
const email = newAddress()
const ada = fresh()

await step('sign up, confirmed by code', async () => {
  const signedUp = good(await ada.auth.signUp({ email, password: PASSWORD, options: { data: { name: 'Ada' } } }))
  assert.equal(signedUp.session, null)
  assert.equal(signedUp.user.email, email)
  const early = bad(await ada.auth.signInWithPassword({ email, password: PASSWORD }))
  assert.equal(early.code, 'email_not_confirmed')
  const { code } = await letter(email, 'Confirm your address')
  const wrong = bad(await ada.auth.verifyOtp({ email, token: code === '000000' ? '000001' : '000000', type: 'signup' }))
  assert.equal(wrong.code, 'otp_expired')
  const { session, user } = good(await ada.auth.verifyOtp({ email, token: code, type: 'signup' }))
  assert.ok(session.access_token)
  assert.equal(user.user_metadata.name, 'Ada')
  assert.ok(user.email_confirmed_at)
})

await step('a second sign-up tells nothing', async () => {
  const again = good(await fresh().auth.signUp({ email, password: PASSWORD }))
  assert.equal(again.session, null)
  assert.equal(again.user.email, email)
  await letter(email, 'You have an account already')
})

await step('a weak password is refused with its reasons', async () => {
  const error = bad(await fresh().auth.signUp({ email: newAddress(), password: 'short' }))
  assert.equal(error.name, 'AuthWeakPasswordError')
  assert.deepEqual(error.reasons, ['length'])
})

await step('sign in with a password', async () => {
  const { session, user } = good(await ada.auth.signInWithPassword({ email, password: PASSWORD }))
  assert.equal(session.user.id, user.id)
  assert.equal(session.expires_in, 3600)
  const error = bad(await fresh().auth.signInWithPassword({ email, password: 'something else' }))
  assert.equal(error.code, 'invalid_credentials')
  assert.equal(error.status, 400)
})

await step('get user and claims', async () => {
  const { user } = good(await ada.auth.getUser())
  assert.equal(user.email, email)
  const { claims } = good(await ada.auth.getClaims())
  assert.equal(claims.sub, user.id)
  assert.equal(claims.role, 'authenticated')
  assert.equal(claims.aal, 'aal1')
  const { identities } = good(await ada.auth.getUserIdentities())
  assert.equal(identities[0].provider, 'email')
})

await step('refresh, and a used refresh token within the grace', async () => {
  const before = (await ada.auth.getSession()).data.session
  const { session } = good(await ada.auth.refreshSession())
  assert.notEqual(session.refresh_token, before.refresh_token)
  const again = good(await fresh().auth.refreshSession({ refresh_token: before.refresh_token }))
  assert.equal(again.session.refresh_token, session.refresh_token)
  assert.equal(bad(await fresh().auth.refreshSession({ refresh_token: 'nonsense' })).code, 'refresh_token_not_found')
})

await step('set session from tokens', async () => {
  const held = (await ada.auth.getSession()).data.session
  const other = fresh()
  const { user } = good(await other.auth.setSession(held))
  assert.equal(user.email, email)
})

await step('change metadata and password', async () => {
  const { user } = good(await ada.auth.updateUser({ data: { name: 'Ada L.', colour: 'green' } }))
  assert.deepEqual(user.user_metadata, { name: 'Ada L.', colour: 'green' })
  good(await ada.auth.updateUser({ data: { colour: null } }))
  const same = bad(await ada.auth.updateUser({ password: PASSWORD }))
  assert.equal(same.code, 'same_password')
  good(await ada.auth.updateUser({ password: PASSWORD + ' 2' }))
  good(await fresh().auth.signInWithPassword({ email, password: PASSWORD + ' 2' }))
})

await step('reauthenticate by letter', async () => {
  good(await ada.auth.reauthenticate())
  const { code } = await letter(email, 'Your code')
  good(await ada.auth.updateUser({ password: PASSWORD + ' 3', nonce: code }))
})

await step('one-time code by letter, for an account and for a new one', async () => {
  good(await fresh().auth.signInWithOtp({ email }))
  const { code } = await letter(email, 'Your link to sign in')
  const { session } = good(await fresh().auth.verifyOtp({ email, token: code, type: 'email' }))
  assert.equal(session.user.email, email)
  assert.equal(bad(await fresh().auth.verifyOtp({ email, token: code, type: 'email' })).code, 'otp_expired')
  const other = newAddress()
  good(await fresh().auth.signInWithOtp({ email: other, options: { data: { name: 'Bea' } } }))
  const made = await letter(other, 'Your link to sign in')
  const bea = good(await fresh().auth.verifyOtp({ email: other, token: made.code, type: 'email' }))
  assert.equal(bea.user.user_metadata.name, 'Bea')
  good(await fresh().auth.signInWithOtp({ email: newAddress(), options: { shouldCreateUser: false } }))
})

await step('a link leads to the application with a session', async () => {
  const to = newAddress()
  good(await fresh().auth.signInWithOtp({ email: to, options: { emailRedirectTo: 'http://app.test/welcome' } }))
  const { link } = await letter(to, 'Your link to sign in')
  const followed = await fetch(link, { redirect: 'manual' })
  assert.equal(followed.status, 303)
  const target = new URL(followed.headers.get('location'))
  assert.equal(target.origin + target.pathname, 'http://app.test/welcome')
  const given = new URLSearchParams(target.hash.slice(1))
  good(await fresh().auth.setSession({ access_token: given.get('access_token'), refresh_token: given.get('refresh_token') }))
  const elsewhere = newAddress()
  good(await fresh().auth.signInWithOtp({ email: elsewhere, options: { emailRedirectTo: 'http://evil.test/' } }))
  const safe = await fetch((await letter(elsewhere, 'Your link to sign in')).link, { redirect: 'manual' })
  assert.notEqual(new URL(safe.headers.get('location')).host, 'evil.test')
})

await step('PKCE: a link gives a code, the device that asked a session', async () => {
  const kept = new Map()
  const storage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  }
  const phone = fresh({ flowType: 'pkce', storage, persistSession: true })
  const to = newAddress()
  good(await phone.auth.signInWithOtp({ email: to, options: { emailRedirectTo: 'http://app.test/welcome' } }))
  const { link } = await letter(to, 'Your link to sign in')
  const followed = await fetch(link, { redirect: 'manual' })
  const code = new URL(followed.headers.get('location')).searchParams.get('code')
  assert.ok(code)
  const { session } = good(await phone.auth.exchangeCodeForSession(code))
  assert.equal(session.user.email, to)
})

await step('recover: a link to a new password', async () => {
  good(await fresh().auth.resetPasswordForEmail(email, { redirectTo: 'http://app.test/new-password' }))
  good(await fresh().auth.resetPasswordForEmail(newAddress()))
  const { code } = await letter(email, 'A new password')
  const forgetful = fresh()
  good(await forgetful.auth.verifyOtp({ email, token: code, type: 'recovery' }))
  good(await forgetful.auth.updateUser({ password: PASSWORD }))
  good(await ada.auth.signInWithPassword({ email, password: PASSWORD }))
})

await step('a new address is confirmed from both', async () => {
  const person = newAddress()
  const wanted = newAddress()
  good(await admin.auth.admin.createUser({ email: person, password: PASSWORD, email_confirm: true }))
  const client = fresh()
  good(await client.auth.signInWithPassword({ email: person, password: PASSWORD }))
  const { user } = good(await client.auth.updateUser({ email: wanted }))
  assert.equal(user.email, person)
  assert.equal(user.new_email, wanted)
  const present = await letter(person, 'Confirm the change of your address')
  const half = good(await client.auth.verifyOtp({ email: person, token: present.code, type: 'email_change' }))
  assert.equal(half.session, null)
  const next = await letter(wanted, 'Confirm your new address')
  const done = good(await client.auth.verifyOtp({ email: wanted, token: next.code, type: 'email_change' }))
  assert.equal(done.user.email, wanted)
})

await step('resend', async () => {
  const to = newAddress()
  good(await fresh().auth.signUp({ email: to, password: PASSWORD }))
  const first = await letter(to, 'Confirm your address')
  good(await fresh().auth.resend({ type: 'signup', email: to }))
  let second = first
  for (let n = 0; n < 200 && second.code === first.code; n++) {
    await new Promise((wake) => setTimeout(wake, 50))
    second = await letter(to, 'Confirm your address')
  }
  assert.equal(bad(await fresh().auth.verifyOtp({ email: to, token: first.code, type: 'signup' })).code, 'otp_expired')
  good(await fresh().auth.verifyOtp({ email: to, token: second.code, type: 'signup' }))
})

await step('anonymous, then with an address', async () => {
  const guest = fresh()
  const { user } = good(await guest.auth.signInAnonymously({ options: { data: { table: 7 } } }))
  assert.equal(user.is_anonymous, true)
  const to = newAddress()
  good(await guest.auth.updateUser({ email: to }))
  const { code } = await letter(to, 'Confirm your new address')
  const done = good(await guest.auth.verifyOtp({ email: to, token: code, type: 'email_change' }))
  assert.equal(done.user.is_anonymous, false)
  assert.equal(done.user.id, user.id)
})

await step('second factor: enrol, challenge, verify, levels, unenrol', async () => {
  const factor = good(await ada.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
  assert.match(factor.totp.qr_code, /^data:image\/svg\+xml/)
  assert.match(factor.totp.uri, /^otpauth:\/\/totp\//)
  const levels = good(await ada.auth.mfa.getAuthenticatorAssuranceLevel())
  assert.equal(levels.currentLevel, 'aal1')
  const challenge = good(await ada.auth.mfa.challenge({ factorId: factor.id }))
  const right = totp(factor.totp.secret)
  const wrong = String((Number(right) + 1) % 1_000_000).padStart(6, '0')
  const refused = bad(await ada.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: wrong }))
  assert.equal(refused.code, 'mfa_verification_failed')
  good(await ada.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code: right }))
  const now = good(await ada.auth.mfa.getAuthenticatorAssuranceLevel())
  assert.equal(now.currentLevel, 'aal2')
  assert.deepEqual(now.currentAuthenticationMethods.map((entry) => entry.method).slice(0, 1), ['totp'])
  const other = fresh()
  good(await other.auth.signInWithPassword({ email, password: PASSWORD }))
  const asked = good(await other.auth.mfa.getAuthenticatorAssuranceLevel())
  assert.deepEqual([asked.currentLevel, asked.nextLevel], ['aal1', 'aal2'])
  assert.equal(bad(await other.auth.updateUser({ password: 'of somebody who knows one factor' })).code, 'insufficient_aal')
  const { all, totp: verified } = good(await ada.auth.mfa.listFactors())
  assert.equal(all.length, 1)
  assert.equal(verified.length, 1)
  good(await other.auth.mfa.challengeAndVerify({ factorId: factor.id, code: totp(factor.totp.secret, 1) }))
  good(await ada.auth.mfa.unenroll({ factorId: factor.id }))
})

await step('administration', async () => {
  const to = newAddress()
  const { user } = good(
    await admin.auth.admin.createUser({ email: to, password: PASSWORD, email_confirm: true, user_metadata: { a: 1 }, app_metadata: { plan: 'gold' } }),
  )
  assert.equal(user.app_metadata.plan, 'gold')
  assert.equal(bad(await admin.auth.admin.createUser({ email: to })).code, 'email_exists')
  assert.equal(good(await admin.auth.admin.getUserById(user.id)).user.email, to)
  const page = good(await admin.auth.admin.listUsers({ page: 1, perPage: 2 }))
  assert.equal(page.users.length, 2)
  assert.ok(page.total > 2)
  assert.equal(page.nextPage, 2)
  const changed = good(await admin.auth.admin.updateUserById(user.id, { user_metadata: { b: 2 }, ban_duration: '1h' }))
  assert.deepEqual(changed.user.user_metadata, { a: 1, b: 2 })
  assert.equal(bad(await fresh().auth.signInWithPassword({ email: to, password: PASSWORD })).code, 'user_banned')
  good(await admin.auth.admin.updateUserById(user.id, { ban_duration: 'none' }))
  const client = fresh()
  const { session } = good(await client.auth.signInWithPassword({ email: to, password: PASSWORD }))
  good(await admin.auth.admin.signOut(session.access_token, 'global'))
  assert.ok(bad(await client.auth.getUser()))
  assert.deepEqual(good(await admin.auth.admin.mfa.listFactors({ userId: user.id })).factors, [])
  good(await admin.auth.admin.deleteUser(user.id))
  assert.equal(bad(await admin.auth.admin.getUserById(user.id)).code, 'user_not_found')
  assert.equal(bad(await fresh().auth.admin.listUsers()).code, 'not_admin')
})

await step('invitation, and links without letters', async () => {
  const to = newAddress()
  const { user } = good(await admin.auth.admin.inviteUserByEmail(to, { data: { table: 3 } }))
  assert.ok(user.invited_at)
  const { code } = await letter(to, 'You are invited')
  const { session } = good(await fresh().auth.verifyOtp({ email: to, token: code, type: 'invite' }))
  assert.equal(session.user.user_metadata.table, 3)
  const made = good(await admin.auth.admin.generateLink({ type: 'magiclink', email: to }))
  const byHash = good(await fresh().auth.verifyOtp({ token_hash: made.properties.hashed_token, type: 'magiclink' }))
  assert.equal(byHash.user.id, user.id)
  const signup = good(await admin.auth.admin.generateLink({ type: 'signup', email: newAddress(), password: PASSWORD }))
  assert.match(signup.properties.email_otp, /^\d{6}$/)
})

await step('sign out, here and everywhere', async () => {
  const there = fresh()
  good(await there.auth.signInWithPassword({ email, password: PASSWORD }))
  const here = fresh()
  good(await here.auth.signInWithPassword({ email, password: PASSWORD }))
  good({ data: null, ...(await here.auth.signOut({ scope: 'others' })) })
  assert.equal(bad(await there.auth.getUser()).name, 'AuthSessionMissingError')
  good(await here.auth.getUser())
  const held = (await here.auth.getSession()).data.session
  good({ data: null, ...(await here.auth.signOut()) })
  assert.equal(bad(await fresh().auth.refreshSession({ refresh_token: held.refresh_token })).code, 'refresh_token_not_found')
})
