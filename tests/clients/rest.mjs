// The data API through the unmodified @supabase/supabase-js: a wedding, its guests and its photo groups.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'
import { bad, good, newAddress, place, step } from './steps.mjs'

const PASSWORD = 'a wedding in June'
const options = { auth: { persistSession: false, autoRefreshToken: false } }
const admin = createClient(place.url, place.service, options)
const nobody = createClient(place.url, place.anon, options)
const ada = createClient(place.url, place.anon, options)
const couple = crypto.randomUUID()
let guests = []

await step('a wedding, and the person whose it is', async () => {
  const email = newAddress()
  const { user } = good(await admin.auth.admin.createUser({ email, password: PASSWORD, email_confirm: true }))
  const slug = `business-${couple.slice(0, 8)}`
  const [organization] = good(await admin.from('organizations').insert({ name: 'Fern & Co', slug }).select())
  good(
    await admin.from('couples').insert({
      id: couple,
      organization_id: organization.id,
      partner_one_name: 'Ada',
      partner_two_name: 'Bea',
      wedding_date: '2031-06-14',
      time_zone: 'Europe/London',
    }),
  )
  good(await admin.from('couple_members').insert({ couple_id: couple, user_id: user.id, role: 'partner' }))
  good(await ada.auth.signInWithPassword({ email, password: PASSWORD }))
})

await step('insert one, give it back', async () => {
  const household = good(
    await ada.from('households').insert({ couple_id: couple, name: 'The Greens' }).select('id, name').single(),
  )
  assert.equal(household.name, 'The Greens')
  const one = good(
    await ada
      .from('guests')
      .insert({ couple_id: couple, household_id: household.id, first_name: 'Cleo', last_name: 'Green' })
      .select()
      .single(),
  )
  assert.equal(one.rsvp_status, 'pending')
  guests.push(one)
})

await step('insert many, with defaults for what is missing', async () => {
  const rows = [
    { couple_id: couple, first_name: 'Dan', last_name: 'Ash', is_child: true },
    { couple_id: couple, first_name: 'Eve', last_name: 'Birch', table_number: 4, rsvp_status: 'accepted' },
    { couple_id: couple, first_name: 'Flo', last_name: 'Cedar', table_number: 2, rsvp_status: 'declined' },
  ]
  const made = good(await ada.from('guests').insert(rows, { defaultToNull: false }).select('id, first_name, is_child'))
  assert.deepEqual(made.map((row) => row.is_child), [true, false, false])
  guests.push(...made)
})

await step('filters', async () => {
  const names = async (query) => good(await query.order('first_name')).map((row) => row.first_name)
  const from = () => ada.from('guests').select('first_name').eq('couple_id', couple)
  assert.deepEqual(await names(from().eq('first_name', 'Eve')), ['Eve'])
  assert.deepEqual(await names(from().neq('rsvp_status', 'pending')), ['Eve', 'Flo'])
  assert.deepEqual(await names(from().gt('table_number', 2)), ['Eve'])
  assert.deepEqual(await names(from().gte('table_number', 2).lte('table_number', 4)), ['Eve', 'Flo'])
  assert.deepEqual(await names(from().like('last_name', '%ee%')), ['Cleo'])
  assert.deepEqual(await names(from().ilike('last_name', 'ASH')), ['Dan'])
  assert.deepEqual(await names(from().is('table_number', null)), ['Cleo', 'Dan'])
  assert.deepEqual(await names(from().in('first_name', ['Dan', 'Flo', 'with, comma "quoted"'])), ['Dan', 'Flo'])
  assert.deepEqual(await names(from().not('rsvp_status', 'in', '(accepted,declined)')), ['Cleo', 'Dan'])
  assert.deepEqual(await names(from().or('table_number.eq.4,first_name.eq.Dan')), ['Dan', 'Eve'])
  assert.deepEqual(await names(from().match({ first_name: 'Flo', last_name: 'Cedar' })), ['Flo'])
  assert.deepEqual(await names(from().filter('is_child', 'is', 'true')), ['Dan'])
  assert.deepEqual(await names(from().likeAnyOf('first_name', ['D%', 'E%'])), ['Dan', 'Eve'])
  assert.deepEqual(await names(from().textSearch('last_name', 'cedar', { type: 'plain' })), ['Flo'])
})

await step('order, limit, range', async () => {
  const ordered = good(
    await ada.from('guests').select('first_name').eq('couple_id', couple)
      .order('table_number', { ascending: true, nullsFirst: true }).order('first_name', { ascending: false }),
  )
  assert.deepEqual(ordered.map((row) => row.first_name), ['Dan', 'Cleo', 'Flo', 'Eve'])
  const page = await ada.from('guests').select('first_name', { count: 'exact' }).order('first_name').range(1, 2)
  assert.deepEqual(good(page).map((row) => row.first_name), ['Dan', 'Eve'])
  assert.equal(page.count, 4)
  assert.equal(page.status, 206)
  assert.equal(good(await ada.from('guests').select('id').limit(2)).length, 2)
})

await step('counts', async () => {
  const exact = await ada.from('guests').select('*', { count: 'exact', head: true })
  assert.equal(exact.count, 4)
  assert.equal(exact.data, null)
  const estimated = await ada.from('guests').select('id', { count: 'estimated' }).limit(1)
  assert.ok(estimated.count >= 1)
  const planned = await ada.from('guests').select('id', { count: 'planned' })
  assert.equal(planned.error, null)
})

await step('embedding, both ways, filtered and renamed', async () => {
  const [row] = good(
    await ada.from('couples').select('partner_one_name, guests(first_name, household:households(name))')
      .eq('guests.first_name', 'Cleo'),
  )
  assert.deepEqual(row.guests, [{ first_name: 'Cleo', household: { name: 'The Greens' } }])
  const inner = good(await ada.from('guests').select('first_name, households!inner(name)').eq('households.name', 'The Greens'))
  assert.equal(inner.length, 1)
  const spread = good(await ada.from('guests').select('first_name, ...households(household:name)').eq('first_name', 'Cleo').single())
  assert.deepEqual(spread, { first_name: 'Cleo', household: 'The Greens' })
})

await step('many to many through a table between', async () => {
  const group = good(await ada.from('photo_groups').insert({ couple_id: couple, name: 'Bride and friends', priority: 1 }).select().single())
  good(
    await ada.from('photo_group_members').insert(
      guests.slice(0, 2).map((guest) => ({ couple_id: couple, photo_group_id: group.id, guest_id: guest.id })),
    ),
  )
  const shown = good(await ada.from('photo_groups').select('name, guests(first_name)').eq('id', group.id).single())
  assert.deepEqual(shown.guests.map((guest) => guest.first_name).sort(), ['Cleo', 'Dan'])
})

await step('sums and counts by group, and what concerns related rows', async () => {
  const groups = good(await ada.from('guests').select('couple_id, count(), table_number.max()'))
  assert.deepEqual(groups.map((row) => [row.couple_id, row.count]), [[couple, 4]])
  const [row] = good(
    await ada.from('couples').select('guests(first_name)')
      .or('first_name.eq.Eve,first_name.eq.Cleo', { referencedTable: 'guests' })
      .order('first_name', { referencedTable: 'guests', ascending: false }).limit(1, { referencedTable: 'guests' }),
  )
  assert.deepEqual(row.guests, [{ first_name: 'Eve' }])
  const found = good(await ada.from('guests').select('first_name').textSearch('last_name', 'ash', { config: 'simple' }))
  assert.deepEqual(found.map((guest) => guest.first_name), ['Dan'])
  const stripped = good(await ada.from('guests').select('first_name, household_id').eq('first_name', 'Eve').stripNulls())
  assert.deepEqual(stripped, [{ first_name: 'Eve' }])
})

await step('more rows than meant are not changed', async () => {
  const refused = bad(await ada.from('guests').update({ table_number: 1 }).eq('couple_id', couple).maxAffected(2))
  assert.equal(refused.code, 'PGRST124')
  assert.equal((await ada.from('guests').select('*', { count: 'exact', head: true }).eq('table_number', 1)).count, 0)
})

await step('update, with and without the rows', async () => {
  const changed = good(
    await ada.from('guests').update({ rsvp_status: 'accepted' }).eq('rsvp_status', 'pending').select('first_name, rsvp_status'),
  )
  assert.equal(changed.length, 2)
  const silent = await ada.from('guests').update({ table_number: 9 }, { count: 'exact' }).eq('first_name', 'Dan')
  assert.equal(silent.status, 204)
  assert.equal(silent.count, 1)
})

await step('upsert', async () => {
  const { id } = guests[1]
  const merged = good(
    await admin.from('guests').upsert({ couple_id: couple, id, first_name: 'Daniel', last_name: 'Ash' }).select().single(),
  )
  assert.equal(merged.first_name, 'Daniel')
  assert.equal(merged.is_child, true)
  const ignored = good(
    await admin.from('guests')
      .upsert({ couple_id: couple, id, first_name: 'Nobody', last_name: 'Ash' }, { onConflict: 'couple_id,id', ignoreDuplicates: true })
      .select(),
  )
  assert.deepEqual(ignored, [])
})

await step('single, maybeSingle, csv', async () => {
  const none = bad(await ada.from('guests').select().eq('first_name', 'Nobody').single())
  assert.equal(none.code, 'PGRST116')
  assert.equal(good(await ada.from('guests').select().eq('first_name', 'Nobody').maybeSingle()), null)
  assert.equal(bad(await ada.from('guests').select().single()).code, 'PGRST116')
  const text = good(await ada.from('guests').select('first_name, table_number').eq('first_name', 'Eve').csv())
  assert.equal(text.trim(), 'first_name,table_number\nEve,4')
})

await step('functions', async () => {
  const conflicts = good(await ada.rpc('detect_advanced_conflicts', { p_couple_id: couple }))
  assert.ok(conflicts !== undefined)
  const before = new Date().toISOString()
  const past = good(await ada.rpc('get_guests_as_of', { p_couple_id: couple, p_at: before }).select('first_name').order('first_name').limit(2))
  assert.equal(past.length, 2)
  const health = good(await admin.rpc('photo_groups_health_check'))
  assert.ok(health.status ?? health)
  const viaGet = good(await admin.rpc('get_database_size', {}, { get: true }))
  assert.ok(viaGet)
  const counted = await ada.rpc('get_guests_as_of', { p_couple_id: couple, p_at: before }, { head: true, count: 'exact' })
  assert.deepEqual([counted.count, counted.data], [4, null])
  assert.equal(bad(await ada.rpc('no_such_function')).code, 'PGRST202')
})

await step('the schema by name', async () => {
  assert.equal(good(await ada.schema('public').from('guests').select('id')).length, 4)
  assert.equal(bad(await ada.schema('auth').from('users').select('id')).code, 'PGRST106')
})

await step('abortSignal', async () => {
  const stop = new AbortController()
  stop.abort()
  const ended = await ada.from('guests').select().abortSignal(stop.signal)
  assert.match(String(ended.error?.message ?? ended.error), /abort/i)
  good(await ada.from('guests').select().abortSignal(AbortSignal.timeout(10_000)))
})

await step('explain is for administrators', async () => {
  const plan = good(await admin.from('guests').select().explain())
  assert.match(plan, /Scan|Result/)
  assert.ok((await ada.from('guests').select().explain()).error)
})

await step('errors as the library knows them', async () => {
  const missing = bad(await ada.from('no_such_table').select())
  assert.equal(missing.code, 'PGRST205')
  const column = bad(await ada.from('guests').select('no_such_column'))
  assert.equal(column.code, '42703')
  const rule = await ada.from('guests').insert({ couple_id: couple, first_name: '', last_name: 'X' })
  assert.equal(rule.error.code, '23514')
  assert.equal(rule.status, 400)
  const twice = await admin.from('organizations').insert({ name: 'again', slug: `business-${couple.slice(0, 8)}` })
  assert.equal(twice.error.code, '23505')
  assert.equal(twice.status, 409)
})

await step('tenancy: nobody and strangers see nothing', async () => {
  const refused = await nobody.from('guests').select()
  assert.equal(refused.error.code, '42501')
  assert.equal(refused.status, 401)
  const email = newAddress()
  good(await admin.auth.admin.createUser({ email, password: PASSWORD, email_confirm: true }))
  const stranger = createClient(place.url, place.anon, options)
  good(await stranger.auth.signInWithPassword({ email, password: PASSWORD }))
  assert.deepEqual(good(await stranger.from('guests').select()), [])
  const pushed = await stranger.from('guests').insert({ couple_id: couple, first_name: 'Mal', last_name: 'Lory' })
  assert.equal(pushed.error.code, '42501')
  assert.equal(pushed.status, 403)
  const gone = createClient(place.url, place.anon, { ...options, global: { headers: { Authorization: 'Bearer e30.e30.e30' } } })
  assert.ok((await gone.from('guests').select()).error)
})

await step('delete', async () => {
  const removed = good(await ada.from('guests').delete().eq('first_name', 'Flo').select('first_name'))
  assert.deepEqual(removed, [{ first_name: 'Flo' }])
  const silent = await ada.from('guests').delete({ count: 'exact' }).eq('last_name', 'Birch')
  assert.equal(silent.status, 204)
  assert.equal(silent.count, 1)
  assert.equal((await ada.from('guests').select('*', { count: 'exact', head: true })).count, 2)
})
