// Entities by the unmodified @kinotic-ai/persistence. Thing is for every user; Payslip has rules for rows, fields and tenants.
import { test, assert, cfg, connected, basic, core, rejection, sockets } from '../lib.mjs'
import { AdminEntitiesRepository, AdminEntityRepository, EntitiesRepository, EntityRepository, PersistencePlugin, TenantSpecificId } from '@kinotic-ai/persistence'
const { Pageable, Order, Direction } = core
const vera = { login: 'vera@example.com', pw: 'vera-pw' }, carol = { login: 'carol@globex.example', pw: 'carol-pw' }
const page = (number, size, ...orders) => Pageable.create(number, size, orders.length ? { orders } : null)
const behind = (cursor, size, ...orders) => Pageable.createWithCursor(cursor, size, orders.length ? { orders } : null)
const by = (property, direction = Direction.ASC) => new Order(property, direction)
async function open(user, scope = ['acme', 'orders']) {
  const c = await connected(basic(user)), of = new EntitiesRepository(c.k), across = new AdminEntitiesRepository(c.k)
  const repo = name => new EntityRepository(...scope, name, of), admin = name => new AdminEntityRepository(...scope, name, across)
  return { ...c, of, across, things: new EntityRepository(...cfg.entity, of), slips: repo('Payslip'), admin: admin('Payslip'), repo }
}
/** Runs a case as these callers: a user, or a user with the organization and application of their entities. */
const as = async (users, f) => { const cs = []; try { for (const u of users) cs.push(await open(...[u].flat())); await f(...cs) } finally { for (const c of cs) await c.k.disconnect() } }
/** The call is refused with this code, and by nothing but an error reply. */
async function refused(c, code, p, words) {
  const e = await rejection(typeof p === 'function' ? p() : p), frame = c.socket.frames.filter(f => f[0] === 'in' && f[2].includes('\nerror:')).at(-1)
  const body = JSON.parse(frame[2].slice(frame[2].indexOf('\n\n') + 2).replace(/\^@$/, ''))
  assert.equal(body.code, code, `${body.code}: ${e.message}`); assert.equal(e.constructor, Error)
  if (words) assert.match(e.message, words)
  assert.doesNotMatch(e.message, /sqlite|postgres|sqlx|near "/i)
  return e
}
const ids = rows => rows.map(r => r.id)
const iterate = async pages => { const out = []; for await (const p of pages) out.push(ids(p.content)); return out }
const slip = (id, ownerId, more = {}) => ({ id, ownerId, status: 'open', title: id, salary: 100, ...more })
let n = 0
const fresh = () => `t${process.pid}${++n}-`

test('persistence/every operation of an entity', () => as([cfg.alice], async ({ things, socket, k }) => {
  await things.deleteByQuery('*')
  const first = await things.save({ name: 'alpha', value: 1, tags: ['a'] })
  assert.ok(first.id.length > 0); assert.deepEqual(first, { id: first.id, name: 'alpha', value: 1, tags: ['a'] })
  assert.deepEqual(await things.findById(first.id), first)
  assert.equal(await things.findById('nothing'), null)
  assert.equal(await things.bulkSave([{ id: 'b', name: 'beta', value: 2 }, { id: 'c', name: 'gamma', value: 3 }]), null)
  assert.deepEqual(ids(await things.findByIds(['c', 'nothing', 'b'])), ['c', 'b'])
  assert.deepEqual(await things.save({ id: 'b', name: 'beta' }), { id: 'b', name: 'beta' })
  // An update changes what it names.
  assert.deepEqual(await things.update({ id: 'c', value: 30 }), { id: 'c', name: 'gamma', value: 30 })
  assert.equal(await things.bulkUpdate([{ id: 'b', value: 20 }, { id: 'c', name: 'delta' }]), null)
  assert.deepEqual(await things.findById('c'), { id: 'c', name: 'delta', value: 30 })
  assert.equal(await things.count(), 3); assert.equal(await things.countByQuery('value:>=20'), 2)
  const found = await things.search('elt', page(0, 100)); assert.deepEqual([ids(found.content), found.totalElements], [['c'], 1])
  assert.deepEqual((await things.findAll(page(0, 2, by('name', Direction.DESC)))).content.map(t => t.name), ['delta', 'beta'])
  assert.equal(await things.syncIndex(), null)
  assert.equal(await things.deleteById('b'), null); assert.equal(await things.deleteById('b'), null)
  assert.equal(await things.deleteByQuery('name:delta'), null)
  assert.equal(await things.count(), 1); await things.deleteById(first.id)
  const to = socket.frames.filter(f => f[0] === 'out' && f[2].startsWith('SEND')).map(f => /destination:srv\\c\/\/(.*)\//.exec(f[2])[1])
  assert.deepEqual([...new Set(to)], ['app-api~org.kinotic.persistence.api.services.JsonEntitiesRepository'])
  // Clients before zones name it without one; and the plugin of core calls the same.
  assert.equal(await k.serviceProxy('org.kinotic.persistence.api.services.JsonEntitiesRepository').invoke('count', ['acme.orders.thing']), 0)
  assert.equal(await PersistencePlugin.install(k).entities.count('acme.orders.thing'), 0)
}))

test('persistence/pages by number and by cursor hold every row once', () => as([cfg.alice], async ({ things }) => {
  await things.deleteByQuery('*'); await things.bulkSave(Array.from({ length: 7 }, (_, i) => ({ id: `p${i}`, name: i % 2 ? 'odd' : 'even', value: 9 - i })))
  const byValue = [['p6', 'p5', 'p4'], ['p3', 'p2', 'p1'], ['p0']]
  assert.deepEqual(await iterate(await things.findAll(page(0, 3, by('value')))), byValue)
  // The client gives the last, empty page of a cursor to nobody.
  assert.deepEqual(await iterate(await things.findAll(behind(null, 3, by('value')))), byValue)
  assert.deepEqual((await iterate(await things.search('name:odd', behind(null, 2)))).flat(), ['p1', 'p3', 'p5'])
  assert.deepEqual(await iterate(await things.search('name:nothing', behind(null, 2))), [])
  await things.deleteByQuery('*')
}))

test('persistence/who may not read a row is told that there is none', () => as([cfg.alice, cfg.bob], async (alice, bob) => {
  const p = fresh(), id = p + 'hers', q = `title:${p}*`
  const saved = await alice.slips.save(slip(id, 'u-alice')); assert.deepEqual([saved.company, saved.salary], ['acme', 100])
  assert.equal(await bob.slips.findById(id), null); assert.deepEqual(await bob.slips.findByIds([id]), [])
  assert.deepEqual([await bob.slips.countByQuery(q), (await bob.slips.search(q, page(0, 100))).totalElements], [0, 0])
  assert.ok(!ids((await bob.slips.findAll(page(0, 100))).content).includes(id))
  await refused(bob, 'NOT_FOUND', bob.slips.update({ id, title: 'mine' })); await refused(bob, 'NOT_FOUND', bob.slips.bulkUpdate([{ id, title: 'mine' }]))
  const taken = await refused(bob, 'ACCESS_DENIED', bob.slips.save(slip(id, 'u-bob'))), other = await refused(bob, 'ACCESS_DENIED', bob.slips.save(slip(p + 'x', 'u-alice')))
  assert.equal(taken.message.replace(/d-\S+|\S{8,}/g, ''), other.message.replace(/d-\S+|\S{8,}/g, ''), 'a taken id answers as any refused save')
  assert.equal(await bob.slips.deleteById(id), null); assert.equal(await bob.slips.deleteByQuery(q), null)
  assert.equal((await alice.slips.findById(id)).title, id)
  // Finance reads all of the organization, and changes only its own.
  await bob.slips.save(slip(p + 'his', 'u-bob')); assert.deepEqual(ids((await alice.slips.search(q, page(0, 9))).content), [id, p + 'his'])
  await refused(alice, 'ACCESS_DENIED', alice.slips.update({ id: p + 'his', title: 'x' })); await refused(alice, 'ACCESS_DENIED', alice.slips.deleteById(p + 'his'))
  await refused(alice, 'ACCESS_DENIED', alice.slips.deleteByQuery(q), /access denied|ACCESS_DENIED/i)
  assert.equal(await alice.slips.countByQuery(q), 2, 'one that may not be deleted keeps all')
  await bob.slips.deleteById(p + 'his'); await alice.slips.deleteById(id)
}))

test('persistence/changes are decided on the stored row and on the new one', () => as([cfg.alice, cfg.bob], async (alice, bob) => {
  const p = fresh(), id = p + 'a'
  await alice.slips.save(slip(id, 'u-alice', { shared: true }))
  await refused(alice, 'ACCESS_DENIED', alice.slips.update({ id, ownerId: 'u-bob' })); await refused(alice, 'ACCESS_DENIED', alice.slips.save(slip(id, 'u-bob')))
  await refused(alice, 'ACCESS_DENIED', alice.slips.update({ id, status: 'paid' }))
  for (const call of [() => bob.slips.update({ id, title: 'x' }), () => bob.slips.deleteById(id)]) await refused(bob, 'ACCESS_DENIED', call)
  await refused(bob, 'ACCESS_DENIED', bob.slips.bulkSave([slip(p + 'b', 'u-bob'), slip(p + 'c', 'u-alice')])); assert.equal(await bob.slips.findById(p + 'b'), null, 'all or nothing')
  await bob.slips.bulkSave([slip(p + 'b', 'u-bob'), slip(p + 'd', 'u-bob')])
  await refused(bob, 'NOT_FOUND', bob.slips.bulkUpdate([{ id: p + 'b', title: 'new' }, { id: p + 'none', title: 'new' }])); assert.equal((await bob.slips.findById(p + 'b')).title, p + 'b')
  await bob.slips.deleteByQuery(`title:${p}* AND ownerId:u-bob`); await alice.slips.deleteById(id); assert.equal(await alice.slips.countByQuery(`title:${p}*`), 0)
}))

test('persistence/a field that may not be read is nowhere', () => as([cfg.alice, cfg.bob], async (alice, bob) => {
  const p = fresh(), id = p + 'a'
  await alice.slips.save(slip(id, 'u-alice', { shared: true, salary: 4242 })); await bob.slips.save(slip(p + 'b', 'u-bob', { salary: 7 }))
  assert.equal((await bob.slips.findById(id)).salary, null); assert.equal((await bob.slips.findById(p + 'b')).salary, 7)
  assert.deepEqual((await bob.slips.findAll(page(0, 99))).content.filter(s => s.ownerId === 'u-alice').map(s => s.salary), [null])
  for (const query of ['salary:4242', 'salary:>1', 'salary:*', 'NOT salary:4242', '_exists_:salary']) {
    await refused(bob, 'BAD_QUERY', bob.slips.countByQuery(query)); await refused(bob, 'BAD_QUERY', bob.slips.search(query, page(0, 100))); await refused(bob, 'BAD_QUERY', bob.slips.deleteByQuery(query))
  }
  await refused(bob, 'BAD_QUERY', bob.slips.findAll(page(0, 9, by('salary')))); await refused(bob, 'BAD_QUERY', bob.slips.namedQuery('above', [{ key: 'salary', value: 1 }]))
  assert.deepEqual((await bob.slips.search('4242', page(0, 100))).content, [])
  assert.deepEqual((await alice.slips.namedQuery('above', [{ key: 'salary', value: 4000 }])).map(s => s.salary), [4242])
  // Nobody erases it by not seeing it, and a part of a row changes only that part.
  await alice.slips.update({ id, title: 'changed' }); assert.equal((await alice.slips.findById(id)).salary, 4242)
  await alice.slips.deleteById(id); await bob.slips.deleteById(p + 'b')
}))

test('persistence/a row of another organization does not exist', () => as([cfg.alice, [carol, ['globex', 'desk']]], async (alice, carol) => {
  const p = fresh(), id = p + 'a', q = `title:${p}*`
  await alice.slips.save(slip(id, 'u-alice', { shared: true }))
  const own = await carol.slips.save(slip(p + 'c', 'u-carol', { shared: true })); assert.equal(own.company, 'globex')
  assert.equal(await carol.slips.findById(id), null); assert.deepEqual(ids(await carol.slips.findByIds([id, p + 'c'])), [p + 'c'])
  assert.deepEqual([await carol.slips.countByQuery(q), await alice.slips.countByQuery(q)], [1, 1])
  await refused(carol, 'NOT_FOUND', carol.slips.update({ id, title: 'x' })); await refused(carol, 'ACCESS_DENIED', carol.slips.save(slip(id, 'u-carol')))
  assert.equal(await carol.slips.deleteById(id), null); await carol.slips.deleteByQuery(q); assert.equal((await alice.slips.findById(id)).title, id)
  // An application's entities are for its own participants, and look to all others like none.
  for (const [c, name] of [[carol, 'acme.orders.payslip'], [alice, 'globex.desk.payslip'], [alice, 'acme.orders.nothing'], [alice, ''], [alice, "x'; DROP TABLE payslips"]])
    await refused(c, 'NOT_FOUND', c.of.count(name), /^there is no entity `/)
  await alice.slips.deleteById(id)
}))

test('persistence/the tenant of a new row is not set by hand', () => as([cfg.alice], async alice => {
  const id = fresh() + 'a'
  for (const company of ['acme', 'globex', "x' OR 1=1"]) {
    await refused(alice, 'UNUSABLE_VALUE', alice.slips.save(slip(id, 'u-alice', { company })), /by hand/)
    await refused(alice, 'UNUSABLE_VALUE', alice.slips.bulkSave([slip(id + '1', 'u-alice'), slip(id, 'u-alice', { company })]))
  }
  assert.deepEqual(await alice.slips.findByIds([id, id + '1']), [])
  const saved = await alice.slips.save(slip(id, 'u-alice'))
  // What was read is written back with the tenant that it has, and with no other.
  assert.equal((await alice.slips.update({ ...saved, title: 'new' })).company, 'acme'); assert.equal((await alice.slips.save({ ...saved, title: 'again' })).title, 'again')
  for (const call of [() => alice.slips.update({ id, company: 'globex' }), () => alice.slips.save({ ...saved, company: 'globex' })]) await refused(alice, 'UNUSABLE_VALUE', call)
  await alice.slips.deleteById(id)
}))

test('persistence/a cursor is of one caller and one question', () => as([cfg.alice, cfg.bob], async (alice, bob) => {
  const p = fresh(); await alice.slips.bulkSave(['a', 'b', 'c'].map(x => slip(p + x, 'u-alice', { shared: true })))
  const q = `title:${p}*`, { cursor } = await alice.slips.search(q, behind(null, 1)); assert.ok(cursor.length > 20); assert.ok(!Buffer.from(cursor, 'base64url').toString('latin1').includes(p))
  assert.deepEqual(ids((await alice.slips.search(q, behind(cursor, 1))).content), [p + 'b'])
  await refused(bob, 'BAD_CURSOR', bob.slips.search(q, behind(cursor, 1)))
  for (const call of [() => alice.slips.search('*', behind(cursor, 1)), () => alice.slips.findAll(behind(cursor, 1)), () => alice.slips.search(q, behind(cursor, 1, by('title'))), () => alice.things.search(q, behind(cursor, 1)), () => alice.admin.search(q, ['acme'], behind(cursor, 1)),
    ...['', 'x', "' OR 1=1 --", cursor.slice(1), cursor + 'A', 'A'.repeat(50_000)].map(c => () => alice.slips.search(q, behind(c, 1)))])
    await refused(alice, call.toString().includes('things') ? 'BAD_QUERY' : 'BAD_CURSOR', call)
  await alice.slips.deleteByQuery(q)
}))

test('persistence/pages and orders that are none', () => as([cfg.alice], async alice => {
  for (const size of [0, 1001, 1e9, 2 ** 53]) { await refused(alice, 'BAD_QUERY', alice.slips.findAll(page(0, size)), /a page has 1 to 1000 rows/); await refused(alice, 'BAD_QUERY', alice.slips.search('*', behind(null, size))) }
  await refused(alice, 'BAD_QUERY', alice.slips.findAll(page(1e19, 1000)))
  for (const pageable of [page(0, -1), page(0, 1.5), page(-1, 5), page(0, '5'), page(0, 1e300), { pageNumber: 0 }, {}, null, 5, [], { pageSize: 5, cursor: 7 }, { pageSize: 5, pageNumber: 0, sort: { orders: [{ property: 'title', direction: 'UP' }] } }])
    await refused(alice, 'BAD_ARGUMENTS', alice.of.findAllSinglePage('acme.orders.payslip', pageable))
  await refused(alice, 'BAD_QUERY', alice.slips.findAll(page(0, 5, by('titel'))), /did you mean `title`\?/)
  for (const property of ['owner_id', 'title; DROP TABLE payslips', 'title" --', '', 'id.x', '*', '1', '__proto__']) await refused(alice, 'BAD_QUERY', alice.slips.findAll(page(0, 5, by(property))))
  await refused(alice, 'BAD_QUERY', alice.slips.findAll(page(0, 5, ...Array.from({ length: 9 }, () => by('title')))))
}))

test('persistence/no string becomes a statement', () => as([cfg.alice], async alice => {
  const p = fresh(), attacks = ["'; DROP TABLE payslips; --", '" OR 1=1 --', "x' OR '1'='1", '\\', '%', '_', '$1', '?1', ':a', '😀', '`', ')) OR ((1=1']
  for (const [i, text] of attacks.entries()) {
    const id = p + i + text; assert.equal((await alice.slips.save(slip(id, 'u-alice', { title: text }))).title, text)
    assert.equal((await alice.slips.findById(id)).title, text); assert.deepEqual(ids(await alice.slips.findByIds([id])), [id])
    const quoted = `title:"${text.replace(/["\\]/g, c => '\\' + c)}" AND id:${p}*`; assert.equal(await alice.slips.countByQuery(quoted), 1, quoted)
    assert.deepEqual((await alice.slips.namedQuery('titled', [{ key: 'title', value: text }])).map(s => s.title), [text])
    for (const call of [() => alice.slips.countByQuery(text), () => alice.slips.search(text, page(0, 100)), () => alice.slips.countByQuery(`title:${text}`), () => alice.slips.countByQuery(`${text}:x`)]) await call().catch(e => assert.doesNotMatch(e.message, /sqlite|syntax error near|database/i))
    assert.equal(await alice.admin.count([text]), 0); assert.equal(await alice.admin.findById(new TenantSpecificId(id, text)), null)
  }
  assert.equal(await alice.slips.countByQuery(`id:${p}*`), attacks.length)
  await refused(alice, 'UNUSABLE_VALUE', alice.slips.save(slip(p + 'z', 'u-alice', { title: 'a\0b' }))); assert.equal(await alice.slips.findById('a\0b'), null)
  for (const query of ['(', 'title:', 'title:[a TO', '"', 'a~2', 'x'.repeat(10_001), '('.repeat(40), Array.from({ length: 300 }, () => 'id:x').join(' OR '), 'salary:many', 'nothing:1']) await refused(alice, 'BAD_QUERY', alice.slips.countByQuery(query))
  await alice.slips.deleteByQuery(`id:${p}*`)
}))

test('persistence/arguments that do not fit are error replies', () => as([cfg.alice], async alice => {
  const own = alice.k.serviceProxy('app-api~org.kinotic.persistence.api.services.JsonEntitiesRepository'), e = 'acme.orders.payslip'
  for (const [method, ...given] of [['save', e], ['save', e, null], ['save', e, []], ['save', e, 'x'], ['save', e, { id: 'x' }], ['save', e, slip('x', 'u-alice', { salary: 'much' })], ['save', e, slip('x', 'u-alice'), 1], ['bulkSave', e, {}], ['update', e, 7], ['update', e, null], ['bulkUpdate', e, [1]],
    ['findById', e, null], ['findById', e, {}], ['findById', e], ['findByIds', e, 'x'], ['findByIds', e, [null]], ['count'], ['count', null], ['count', 7], ['countByQuery', e, null], ['search', e, null, page(0, 100)], ['deleteByQuery', e, null], ['namedQuery', e, 'above', {}], ['namedQuery', e, null, []]]) await refused(alice, 'BAD_ARGUMENTS', own.invoke(method, given))
  await refused(alice, 'UNUSABLE_VALUE', own.invoke('update', [e, { title: 'no id' }])); await refused(alice, 'UNUSABLE_VALUE', own.invoke('update', [e, { id: {}, title: 'x' }]))
  const id = fresh() + 'a'; await alice.slips.save(slip(id, 'u-alice')); await refused(alice, 'BAD_QUERY', own.invoke('update', [e, { id, salary: 'much' }]))
  for (const method of ['drop', 'stream', 'Save', '__proto__']) await refused(alice, 'UNKNOWN_METHOD', own.invoke(method, [e]))
  const across = alice.k.serviceProxy('app-api~org.kinotic.persistence.api.services.AdminJsonEntitiesRepository')
  await refused(alice, 'UNKNOWN_METHOD', across.invoke('save', [e, slip('x', 'u-alice')]))
  for (const [method, ...given] of [['count', e, null], ['count', e, 'acme'], ['count', e, [null]], ['findById', e, 'x'], ['findById', e, { entityId: 'x' }], ['findByIds', e, ['x']]]) await refused(alice, 'BAD_ARGUMENTS', across.invoke(method, given))
  for (const query of ['', '  ']) await refused(alice, 'BAD_QUERY', alice.slips.deleteByQuery(query), /not empty/)
  await refused(alice, 'BAD_QUERY', alice.slips.findByIds(Array.from({ length: 10_001 }, (_, i) => `${i}`)))
  await refused(alice, 'TOO_MANY_ROWS', alice.slips.bulkUpdate(Array.from({ length: 10_001 }, (_, i) => ({ id: `${i}` }))))
  assert.equal((await alice.slips.findById(id)).salary, 100); await alice.slips.deleteById(id)
}), { timeout: 40000 })

test('persistence/named queries are searches', () => as([cfg.alice, cfg.bob], async (alice, bob) => {
  const p = fresh(); await alice.slips.bulkSave([1, 2, 3].map(i => slip(p + i, 'u-alice', { salary: 1_000_000 + i })))
  const above = value => [{ key: 'salary', value }]
  assert.deepEqual(ids(await alice.slips.namedQuery('above', above(1_000_001))), [p + 2, p + 3])
  assert.deepEqual(await iterate(await alice.slips.namedQueryPage('above', above(1_000_000), page(0, 2))), [[p + 1, p + 2], [p + 3]])
  assert.deepEqual(await bob.slips.namedQuery('titled', [{ key: 'title', value: p + 1 }]), [])
  for (const name of ['nothing', 'Above', '', 'constructor', "above'; --"]) await refused(alice, 'NOT_FOUND', alice.slips.namedQuery(name, []))
  for (const given of [[], above('much'), above(null), above(1.5)]) await refused(alice, 'BAD_QUERY', alice.slips.namedQuery('above', given))
  await alice.slips.deleteByQuery(`id:${p}*`)
}))

test('persistence/reading across tenants is another right, and its list only narrows', () => as([cfg.alice, cfg.bob, vera, [carol, ['globex', 'desk']]], async (alice, bob, vera, carol) => {
  const p = fresh(), q = `title:${p}*`, a = p + 'a', g = p + 'g', at = (id, tenant) => new TenantSpecificId(id, tenant)
  await alice.slips.save(slip(a, 'u-alice', { shared: true })); await carol.slips.save(slip(g, 'u-carol', { shared: true }))
  for (const c of [alice, bob]) {
    assert.equal(await c.admin.countByQuery(q, ['acme', 'globex']), 0); assert.equal(await c.admin.findById(at(a, 'acme')), null); assert.deepEqual(await c.admin.findByIds([at(a, 'acme')]), [])
    await refused(c, 'ACCESS_DENIED', c.admin.deleteByQuery(q, ['acme', 'globex'])); assert.equal(await c.admin.deleteById(at(a, 'acme')), null)
  }
  for (const [tenants, count] of [[['acme'], 1], [['globex'], 1], [['acme', 'globex', 'acme'], 2], [[], 0], [['nobody'], 0], [["acme' OR '1'='1"], 0]]) assert.equal(await vera.admin.countByQuery(q, tenants), count)
  assert.ok(await vera.admin.count(['acme', 'globex']) >= 2)
  assert.deepEqual(ids((await vera.admin.search(q, ['globex'], page(0, 100))).content), [g])
  assert.deepEqual((await iterate(await vera.admin.findAll(['acme', 'globex'], behind(null, 1, by('company'))))).flat().filter(id => id.startsWith(p)), [a, g])
  assert.equal((await vera.admin.findById(at(g, 'globex'))).company, 'globex'); assert.equal(await vera.admin.findById(at(g, 'acme')), null)
  assert.deepEqual(ids(await vera.admin.findByIds([at(g, 'globex'), at(a, 'globex'), at(a, 'acme'), at(g, 'acme')])).sort(), [a, g].sort())
  assert.deepEqual(await vera.admin.findByIds([at(a, 'globex'), at(g, 'acme')]), [])
  assert.equal((await vera.admin.findById(at(a, 'acme'))).salary, null, 'rules of fields hold across tenants, too')
  assert.deepEqual(ids(await vera.admin.namedQuery('titled', [{ key: 'title', value: a }])), [a]); assert.deepEqual(ids((await vera.admin.namedQueryPage('titled', [{ key: 'title', value: a }], page(0, 100))).content), [a])
  await refused(vera, 'ACCESS_DENIED', vera.admin.deleteById(at(a, 'acme'))); await refused(vera, 'ACCESS_DENIED', vera.admin.deleteByQuery(q, ['acme']))
  assert.equal(await vera.admin.deleteById(at(a, 'globex')), null); assert.equal((await alice.slips.findById(a)).id, a)
  await alice.slips.deleteById(a); await carol.slips.deleteById(g)
}))

test('persistence/a refusal ends neither the connection nor what else runs on it', () => as([cfg.bob], async bob => {
  const before = sockets.length, results = await Promise.allSettled(Array.from({ length: 60 }, (_, i) => i % 3 === 0 ? bob.slips.save(slip(`r${i}`, 'u-alice')) : i % 3 === 1 ? bob.slips.countByQuery('(') : bob.order.invoke('echo', [i])))
  assert.deepEqual(results.map(r => r.status === 'fulfilled'), results.map((_, i) => i % 3 === 2)); assert.equal(sockets.length, before); assert.ok(bob.k.eventBus.isConnected())
}))
