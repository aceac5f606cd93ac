// ts-mls behind the line protocol of tests/interop/peer.py: one JSON object a line each way, octets in hexadecimal.
//
// ts-mls writes the external_pub extension as the bare key and reads it so, where RFC 9420 (section 12.4.3.2) has a
// vector with its length. This driver puts that right on the way out and in; `"bare": true` in `state` leaves it.
import { createInterface } from "node:readline"
import {
  bytesToBase64,
  ciphersuites,
  createApplicationMessage,
  createCommit,
  createGroup,
  createGroupInfoWithExternalPubAndRatchetTree,
  createProposal,
  decodeMlsMessage,
  defaultCapabilities,
  defaultExtensionTypes,
  defaultLifetime,
  encodeMlsMessage,
  generateKeyPackage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  makePskIndex,
  mlsExporter,
  processPrivateMessage,
  processPublicMessage,
  proposeAddExternal,
} from "ts-mls"
// Not exported by the package: a GroupInfo with extensions of our own choice beside the tree.
import { createGroupInfoWithRatchetTree } from "ts-mls/createCommit.js"

class Refused extends Error {
  constructor(code, text) {
    super(text)
    this.name = code
  }
}

const octets = (hex) => Uint8Array.from(Buffer.from(hex, "hex"))
const hex = (bytes) => Buffer.from(bytes).toString("hex")
const version = "mls10"

// What the leaves of the others carry, and what rooms have in their GroupContext: application data, leg class.
const EXTENSIONS = [0x0006, 0xf010]

const members = new Map()

async function suiteOf(number) {
  const name = Object.keys(ciphersuites).find((key) => ciphersuites[key] === number)
  if (name === undefined) throw new Refused("unsupported", `no cipher suite ${number}`)
  return getCiphersuiteImpl(getCiphersuiteFromName(name))
}

function decode(data, ...wireformats) {
  const decoded = decodeMlsMessage(data, 0)
  if (decoded === undefined || decoded[1] !== data.length) throw new Refused("decode", "not an MLSMessage")
  if (!wireformats.includes(decoded[0].wireformat)) throw new Refused("decode", `a ${decoded[0].wireformat}`)
  return decoded[0]
}

function existing({ member }) {
  const found = members.get(member)
  if (found === undefined) throw new Refused("request", `no member ${member}`)
  return found
}

async function named(request) {
  if (!members.has(request.member)) {
    const suite = await suiteOf(request.suite ?? 1)
    const nothing = { packages: [], psks: {}, signatures: {}, state: undefined, staged: undefined }
    members.set(request.member, { suite, ...nothing })
  }
  return members.get(request.member)
}

function grouped(request) {
  const member = existing(request)
  if (member.state === undefined) throw new Refused("request", "this member is in no group")
  return member
}

async function newPackage(member, name, suite = member.suite) {
  const credential = { credentialType: "basic", identity: new TextEncoder().encode(name) }
  const all = defaultCapabilities()
  const capabilities = { ...all, extensions: [...all.extensions, ...EXTENSIONS] }
  const keys = member.signatures[suite.name]
  const made =
    keys === undefined
      ? await generateKeyPackage(credential, capabilities, defaultLifetime, [], suite)
      : await generateKeyPackageWithKey(credential, capabilities, defaultLifetime, [], keys, suite)
  member.signatures[suite.name] = {
    signKey: made.privatePackage.signaturePrivateKey,
    publicKey: made.publicPackage.leafNode.signaturePublicKey,
  }
  return made
}

const addOf = (data) => ({
  proposalType: "add",
  add: { keyPackage: decode(data, "mls_key_package").keyPackage },
})
const removeOf = (leaf) => ({ proposalType: "remove", remove: { removed: leaf } })

function pskOf(member, id) {
  if (member.psks[bytesToBase64(id)] === undefined) throw new Refused("psk", "this key is not known")
  const pskNonce = member.suite.rng.randomBytes(member.suite.kdf.size)
  return { proposalType: "psk", psk: { preSharedKeyId: { psktype: "external", pskId: id, pskNonce } } }
}

function resumption(member, usage, pskEpoch) {
  const pskGroupId = member.state.groupContext.groupId
  const pskNonce = member.suite.rng.randomBytes(member.suite.kdf.size)
  return { proposalType: "psk", psk: { preSharedKeyId: { psktype: "resumption", usage, pskGroupId, pskEpoch, pskNonce } } }
}

function extensionOf([number, data]) {
  const name = Object.keys(defaultExtensionTypes).find((key) => defaultExtensionTypes[key] === number)
  return { extensionType: name ?? number, extensionData: octets(data) }
}

const encodeWelcome = (welcome) => hex(encodeMlsMessage({ welcome, wireformat: "mls_welcome", version }))

function stage(member, made) {
  const commit = hex(encodeMlsMessage(made.commit))
  member.staged = { commit, state: made.newState }
  return { commit, welcome: made.welcome === undefined ? "" : encodeWelcome(made.welcome) }
}

function enter(member, state, suite = member.suite) {
  Object.assign(member, { state, suite, staged: undefined })
  return { epoch: epochOf(state), leaf: state.privatePath.leafIndex }
}

// What branchGroup and reinitCreateNewGroup of ts-mls do, but with the tree in the Welcome.
async function begin(request, usage, { groupId, extensions, suite }) {
  const member = grouped(request)
  const own = await newPackage(member, request.member, suite)
  const state = await createGroup(groupId, own.publicPackage, own.privatePackage, extensions, suite)
  const old = resumption(member, usage, member.state.groupContext.epoch)
  const extraProposals = [...request.key_packages.map((one) => addOf(octets(one))), old]
  const context = { state, cipherSuite: suite, pskIndex: makePskIndex(member.state, {}) }
  const made = await createCommit(context, { extraProposals, wireAsPublicMessage: true, ratchetTreeExtension: true })
  return { ...enter(member, made.newState, suite), welcome: encodeWelcome(made.welcome) }
}

async function propose(request, proposal) {
  const member = grouped(request)
  const made = await createProposal(member.state, !request.private, proposal, member.suite)
  member.state = made.newState
  return { proposal: hex(encodeMlsMessage(made.message)) }
}

// Octets with their length before them, as TLS presentation language has it in RFC 9420 (section 2.1.2).
function vector(data) {
  const length = data.length < 64 ? [data.length] : [0x40 | (data.length >> 8), data.length & 0xff]
  return Uint8Array.from([...length, ...data])
}

function fromVector(data) {
  const start = data[0] < 0x40 ? 1 : 2
  const length = start === 1 ? data[0] : ((data[0] & 0x3f) << 8) | data[1]
  if (data.length !== start + length) throw new Refused("decode", "external_pub is not one vector")
  return data.slice(start)
}

// The suite as external joiners need it: the key in external_pub, and no other, is taken out of its vector.
function reading(suite, groupInfo) {
  const external = groupInfo.extensions.find(({ extensionType }) => extensionType === "external_pub")
  const importPublicKey = (key) => suite.hpke.importPublicKey(key === external?.extensionData ? fromVector(key) : key)
  return { ...suite, hpke: { ...suite.hpke, importPublicKey } }
}

async function groupInfoOf({ state, suite }) {
  const { publicKey } = await suite.hpke.deriveKeyPair(state.keySchedule.externalSecret)
  const extensionData = vector(await suite.hpke.exportPublicKey(publicKey))
  const extensions = [{ extensionType: "external_pub", extensionData }]
  const { groupContext, confirmationTag, ratchetTree } = state
  return createGroupInfoWithRatchetTree(groupContext, confirmationTag, state, ratchetTree, extensions, suite)
}

const epochOf = (state) => Number(state.groupContext.epoch)

const operations = {
  async keypackage(request) {
    const member = await named(request)
    const made = await newPackage(member, request.member, request.suite && (await suiteOf(request.suite)))
    member.packages.push(made)
    const message = { keyPackage: made.publicPackage, wireformat: "mls_key_package", version }
    return { key_package: hex(encodeMlsMessage(message)) }
  },

  async create(request) {
    if (request.context !== undefined) throw new Refused("unsupported", "no application data in the GroupContext")
    const member = await named(request)
    const own = await newPackage(member, request.member)
    const id = octets(request.group)
    member.state = await createGroup(id, own.publicPackage, own.privatePackage, [], member.suite)
    return { epoch: 0 }
  },

  add: (request) => propose(request, addOf(octets(request.key_package))),
  remove: (request) => propose(request, removeOf(request.leaf)),
  async update() {
    throw new Refused("unsupported", "ts-mls keeps no keys for Update proposals of its own")
  },

  async psk(request) {
    existing(request).psks[bytesToBase64(octets(request.id))] = octets(request.secret)
    return {}
  },

  async commit(request) {
    const member = grouped(request)
    if (request.path) throw new Refused("unsupported", "ts-mls decides about the path itself")
    const extraProposals = [
      ...(request.remove ?? []).map(removeOf),
      ...(request.add ?? []).map((one) => addOf(octets(one))),
      ...(request.psk ?? []).map((id) => pskOf(member, octets(id))),
      ...(request.resume ?? []).map((epoch) => resumption(member, "application", BigInt(epoch))),
    ]
    if (request.extensions !== undefined) {
      const extensions = request.extensions.map(extensionOf)
      extraProposals.push({ proposalType: "group_context_extensions", groupContextExtensions: { extensions } })
    }
    const context = { state: member.state, cipherSuite: member.suite, pskIndex: makePskIndex(member.state, member.psks) }
    const options = { extraProposals, wireAsPublicMessage: !request.private, ratchetTreeExtension: true }
    return stage(member, await createCommit(context, options))
  },

  async join(request) {
    const member = existing(request)
    const { welcome } = decode(octets(request.welcome), "mls_welcome")
    const old = request.continues ? grouped(request).state : undefined
    const suite = await suiteOf(ciphersuites[welcome.cipherSuite])
    const psks = makePskIndex(old, member.psks)
    let refusal = new Refused("request", "this member has no key package of this suite")
    for (const own of member.packages.filter((one) => one.publicPackage.cipherSuite === welcome.cipherSuite)) {
      try {
        const state = await joinGroup(welcome, own.publicPackage, own.privatePackage, psks, suite, undefined, old)
        member.packages = member.packages.filter((other) => other !== own)
        return enter(member, state, suite)
      } catch (error) {
        refusal = error
      }
    }
    throw refusal
  },

  async external_join(request) {
    const member = await named(request)
    const { groupInfo } = decode(octets(request.group_info), "mls_group_info")
    const own = await newPackage(member, request.member)
    const resync = request.replace !== undefined
    const suite = reading(member.suite, groupInfo)
    const made = await joinGroupExternal(groupInfo, own.publicPackage, own.privatePackage, resync, suite)
    const message = { publicMessage: made.publicMessage, wireformat: "mls_public_message", version }
    return { ...enter(member, made.newState), commit: hex(encodeMlsMessage(message)) }
  },

  async knock(request) {
    const member = await named(request)
    const { groupInfo } = decode(octets(request.group_info), "mls_group_info")
    const own = await newPackage(member, request.member)
    member.packages.push(own)
    const asked = await proposeAddExternal(groupInfo, own.publicPackage, own.privatePackage, member.suite)
    return { proposal: hex(encodeMlsMessage(asked)) }
  },

  async reinit(request) {
    const member = grouped(request)
    const { name } = await suiteOf(request.suite)
    const { extensions } = member.state.groupContext
    const reinit = { groupId: octets(request.group), version, cipherSuite: name, extensions }
    const context = { state: member.state, cipherSuite: member.suite }
    const options = { extraProposals: [{ proposalType: "reinit", reinit }], wireAsPublicMessage: true }
    return stage(member, await createCommit(context, options))
  },

  async restart(request) {
    const { kind, reinit } = grouped(request).state.groupActiveState
    if (kind !== "suspendedPendingReinit") throw new Refused("request", "no ReInit was processed")
    const suite = await suiteOf(ciphersuites[reinit.cipherSuite])
    return begin(request, "reinit", { groupId: reinit.groupId, extensions: reinit.extensions, suite })
  },

  async branch(request) {
    const { suite, state } = grouped(request)
    return begin(request, "branch", { groupId: octets(request.group), extensions: state.groupContext.extensions, suite })
  },

  async encrypt(request) {
    const member = grouped(request)
    const aad = octets(request.authenticated_data ?? "")
    const made = await createApplicationMessage(member.state, octets(request.data), member.suite, aad)
    member.state = made.newState
    const message = { privateMessage: made.privateMessage, wireformat: "mls_private_message", version }
    return { message: hex(encodeMlsMessage(message)) }
  },

  async process(request) {
    const member = grouped(request)
    if (member.staged?.commit === request.message) {
      member.state = member.staged.state
      member.staged = undefined
      return { kind: "commit", epoch: epochOf(member.state), left: false }
    }
    const message = decode(octets(request.message), "mls_public_message", "mls_private_message")
    const psks = makePskIndex(member.state, member.psks)
    const before = epochOf(member.state)
    const isPublic = message.wireformat === "mls_public_message"
    const done = isPublic
      ? await processPublicMessage(member.state, message.publicMessage, psks, member.suite)
      : await processPrivateMessage(member.state, message.privateMessage, psks, member.suite)
    member.state = done.newState
    if (done.kind === "applicationMessage") {
      const aad = hex(message.privateMessage.authenticatedData)
      return { kind: "application", data: hex(done.message), authenticated_data: aad, sender: null }
    }
    const left = member.state.groupActiveState.kind === "removedFromGroup"
    if (!left && epochOf(member.state) === before) return { kind: "proposal", epoch: before }
    member.staged = undefined
    return { kind: "commit", epoch: before + 1, left }
  },

  async exporter(request) {
    const { state, suite } = grouped(request)
    const context = octets(request.context)
    const secret = await mlsExporter(state.keySchedule.exporterSecret, request.label, context, request.length, suite)
    return { secret: hex(secret) }
  },

  async state(request) {
    const { state, suite } = grouped(request)
    const leaves = state.ratchetTree
      .map((node, index) => [index / 2, node])
      .filter(([, node]) => node?.nodeType === "leaf")
    const told = {
      epoch: epochOf(state),
      leaf: state.privatePath.leafIndex,
      authenticator: hex(state.keySchedule.epochAuthenticator),
      members: leaves.map(([leaf, node]) => [leaf, new TextDecoder().decode(node.leaf.credential.identity)]),
    }
    if (request.group_info) {
      const groupInfo = request.bare
        ? await createGroupInfoWithExternalPubAndRatchetTree(state, [], suite)
        : await groupInfoOf({ state, suite })
      told.group_info = hex(encodeMlsMessage({ groupInfo, wireformat: "mls_group_info", version }))
    }
    return told
  },

  async forget(request) {
    existing(request)
    members.delete(request.member)
    return {}
  },
}

async function answer(line) {
  try {
    const request = JSON.parse(line)
    const operation = Object.hasOwn(operations, request.op) ? operations[request.op] : undefined
    if (operation === undefined) throw new Refused("request", `no operation ${request.op}`)
    return await operation(request)
  } catch (error) {
    return { error: error.name, text: error.message }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(line)) + "\n")
}
