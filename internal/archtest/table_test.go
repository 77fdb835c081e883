package archtest

// A unit is a package with all packages below it, which only it may import.

// core is the vocabulary that everything above the siblings may use.
var core = []string{"shards", "certs"}

// ledger is the vocabulary of the ledger: what those that pay, ask and decide speak about.
const ledger = "ledger"

// siblings each adapt one technology and do not know each other; only node imports several.
var siblings = []string{"store", "p2p", "dht", "ledger/light", "ledger/wallet"}

// units are all units of the project and the units each may import: only down. A package not listed is a violation.
var units = map[string]unit{
	"shards": {tests: []string{"internal/wrongtest"}},
	"certs":  {imports: []string{"shards"}},
	"quilt":  {imports: []string{"shards"}},
	// Questions about cells, signed answers, and the judgement of both.
	"probe": {imports: core, tests: []string{"internal/wrongtest"}},

	"store": {imports: join(core, "internal/badgerdisk", "internal/pause"), tests: []string{"internal/faultfs", "node"}},
	"p2p":   {imports: join(core, "probe", "internal/ipgroup", "internal/pause"), tests: []string{"internal/swarmtest"}},
	"dht":   {imports: join(core, "internal/pause", "internal/userfile", "internal/ipgroup"), tests: []string{"internal/swarmtest"}},
	// The ledger: vocabulary, tree and rules are pure; the light client asks; the engine runs consensus, answers light
	// clients, and joins a network as one of them.
	"ledger":         {imports: core},
	"ledger/merkle":  {},
	"ledger/mempool": {imports: join(core, ledger)},
	"ledger/machine": {imports: join(core, ledger, "ledger/merkle", "ledger/mempool"), tests: []string{"internal/wrongtest"}},
	"ledger/wallet":  {imports: join(core, ledger, "internal/pause", "internal/userfile"), tests: []string{"ledger/machine"}},
	"ledger/light":   {imports: join(core, ledger, "ledger/merkle", "internal/pause"), tests: []string{"ledger/machine", "internal/swarmtest"}},
	"ledger/engine": {
		imports: join(core, ledger, "ledger/merkle", "ledger/mempool", "ledger/machine", "ledger/light", "ledger/engine/badgerdb", "internal/pause"),
		tests:   []string{"p2p", "ledger/wallet", "internal/swarmtest", "internal/wrongtest"},
	},
	// A unit of its own, so that no other part of the engine sees Badger.
	"ledger/engine/badgerdb": {imports: []string{"internal/badgerdisk", "internal/pause"}, tests: []string{"internal/faultfs", "node"}},

	// The rules of monitors: given the time, they know no clock.
	"monitor/round": {imports: []string{"certs", "ledger/merkle"}},
	"monitor/score": {imports: []string{"monitor/round"}},

	// p2p only for the errors and limits of the protocol: it asks through an interface.
	"gather": {imports: join(core, "p2p", "internal/ipgroup")},
	// p2p only for the errors and types of the protocol: it is given a network.
	"pin": {imports: join(core, "p2p", "gather", "quilt", "internal/badgerdisk"), tests: []string{"dht", "internal/swarmtest", "internal/wrongtest"}},
	// It is given a network and the ledger; p2p only for the types of the protocol. It keeps what it saw in a Badger.
	"monitor": {
		imports: join(core, ledger, "ledger/light", "p2p", "probe", "monitor/round", "monitor/score", "internal/badgerdisk", "internal/pause"),
		tests:   []string{"dht", "internal/swarmtest"},
	},
	// The pins over HTTP, and at a socket; the pins themselves it is given.
	"pinapi": {imports: []string{"shards", "pin", "quilt", "internal/socket", "internal/userfile"}},
	"client": {
		imports: join(core, ledger, "p2p", "gather", "quilt", "internal/pause"),
		tests:   []string{"store", "dht", "ledger/wallet", "internal/ledgertest", "internal/swarmtest", "internal/wrongtest"},
	},
	// A unit of its own, so that the gateway and the command print the same JSON.
	"client/jsonform": {imports: []string{"shards", ledger, "client"}},
	// The package at the top is for programs of others: what it imports, they link.
	top: {
		imports: join(core, ledger, "ledger/light", "ledger/wallet", "client", "clientnode", "config", "dht", "p2p", "quilt", "internal/userfile"),
		tests:   []string{"compose", "node"},
	},
	// What is only a client wires no store and no engine: programs of others link it.
	"clientnode": {imports: join(core, ledger, "ledger/light", "ledger/wallet", "client", "p2p", "dht", "internal/userfile")},
	"gateway": {
		// light shows what it proves; p2p only for the types of the client's answers
		imports: join(core, ledger, "ledger/light", "client", "client/jsonform", "p2p", "quilt", "internal/blocklist"),
		tests:   []string{"node", "config", "clientnode", "compose", "internal/ledgertest", "internal/swarmtest", "internal/wrongtest"},
	},
	// A pinner's process: no store of slivers, no engine.
	"pinnode": {imports: []string{"shards", "certs", ledger, "ledger/light", "internal/blocklist", "internal/userfile", "client", "clientnode", "p2p", "dht", "pin", "pinapi"}},
	// A monitor's process: no store of slivers, no engine.
	"monitornode": {imports: []string{ledger, "clientnode", "p2p", "dht", "monitor", "internal/socket"}},
	"node": {
		imports: join(join(core, siblings...), ledger, "ledger/engine", "client", "clientnode", "gateway", "node/keeper", "alert", "monitor", "monitor/round", "monitornode", "probe", "internal/pause"),
		tests:   []string{"pin", "pinnode", "internal/ledgertest", "internal/swarmtest", "internal/wrongtest"},
	},

	// A unit of its own: a storage node's duty is given its parts, and opens none.
	"node/keeper": {
		imports: join(core, ledger, "store", "p2p", "probe", "gather", "internal/pause"),
		tests:   []string{"internal/swarmtest", "internal/wrongtest"},
	},

	// Who is told of trouble, and how; it finds none itself.
	"alert": {imports: []string{"shards", "internal/pause", "internal/userfile"}},

	"config":  {imports: join(core, ledger, "alert", "ledger/light", "ledger/wallet", "client", "clientnode", "p2p", "dht", "internal/userfile")},
	"compose": {imports: join(join(core, siblings...), ledger, "ledger/engine", "ledger/light", "client", "clientnode", "config", "doctor", "gateway", "monitor", "monitor/round", "monitor/score", "monitornode", "node", "pin", "pinapi", "pinnode")},
	// Measures with hosts of its own, and judges; it opens no store and no engine.
	"doctor": {imports: []string{ledger, "ledger/light", "p2p", "dht", "internal/ipgroup", "internal/badgerdisk"}},
	// p2p only for the types of the client's answers; what is opened and wired is node's business.
	"cmd/walrus": {imports: join(core, ledger, "ledger/light", "ledger/wallet", "internal/bench", "alert", "config", "compose", "doctor", "node", "client", "client/jsonform", "clientnode", "p2p", "probe", "monitor", "monitor/round", "monitornode", "pin", "pinapi", "pinnode", "quilt", "internal/userfile"), tests: []string{"internal/pause", "internal/wrongtest", "internal/badgerdisk", "shards", "store"}},

	// Reading and writing the files that people name, for all who are given such a name.
	"internal/userfile": {},

	// The file with the blobs that an operator blocks, for gateways and pinners.
	"internal/blocklist": {imports: []string{"shards"}},

	// The socket between commands and the process of a home.
	"internal/socket": {},

	// Waiting no longer than a context.
	"internal/pause": {},
	// Sorting the addresses of strangers, for all who bound what strangers may use.
	"internal/ipgroup": {},

	// What every Badger database needs: its files checked before it opens, its faults caught, its syncs complete.
	"internal/badgerdisk": {},

	// Measurements that the command offers to its users.
	"internal/bench": {imports: []string{"shards"}},
	// A file system that forgets what was not synced, for tests.
	"internal/faultfs": {},

	// Blobs encoded wrongly, for tests.
	"internal/wrongtest": {imports: []string{"shards"}},

	// Hostile peers against a network as it is deployed: only tests.
	"internal/hostile": {tests: join(core, ledger, "ledger/wallet", "p2p", "dht", "client", "clientnode", "config", "compose", "node", "internal/pause", "internal/wrongtest")},

	// Processes behind routers: only tests.
	"internal/natbench": {tests: []string{"config", "internal/pause"}},

	"internal/archtest":   {},
	"internal/ledgertest": {imports: join(core, ledger, "ledger/merkle", "ledger/machine", "ledger/wallet", "internal/pause")},
	"internal/swarmtest":  {imports: join(join(core, siblings...), ledger, "ledger/engine", "client", "clientnode", "node", "internal/ledgertest")},
}

// pure packages do no I/O and know no clock.
var pure = []string{"shards", "certs", "quilt", "probe", "ledger/merkle", "ledger/mempool", "ledger/machine"}

// timed are the packages that are as pure, but are given the time.
var timed = []string{"monitor/round", "monitor/score"}

// networking are the units whose business is libp2p.
var networking = []string{"p2p", "dht", "node", "clientnode", "ledger/engine", "ledger/light", "internal/swarmtest"}

// modules are all third-party imports: by import path prefix, the longest that matches decides. An import that matches
// none is a violation, so that a new dependency is a decision seen here.
var modules = map[string]module{
	// Everybody may name a peer; addresses are vocabulary too, except for the pure packages.
	"github.com/libp2p/go-libp2p/core/peer":   {everywhere: true},
	"github.com/multiformats/go-multiaddr":    {except: pure, everywhere: true},
	"github.com/libp2p/go-libp2p/core/crypto": {units: join(networking, "config"), testsEverywhere: true},
	"github.com/libp2p/go-libp2p/core/test":   {testsEverywhere: true},
	"github.com/libp2p":                       {units: networking, tests: []string{"internal/hostile"}},
	"github.com/libp2p/go-libp2p/core/host":   {units: networking, tests: []string{"cmd/walrus", "gateway", "internal/hostile"}},
	"github.com/multiformats":                 {tests: []string{"pinapi"}, units: join(networking, "pin")},
	"github.com/ipfs":                         {units: join(networking, "pin")}, // pin: CIDs
	"github.com/ipfs/go-cid":                  {units: join(networking, "pin", "pinapi"), tests: []string{"cmd/walrus"}},
	"github.com/ipfs/boxo":                    {tests: []string{"pinapi", "cmd/walrus"}}, // a client of others
	"github.com/jackpal/go-nat-pmp":           {units: []string{"p2p"}},                  // asks routers to forward ports
	"github.com/marcopolo/simnet":             {units: []string{"internal/swarmtest"}, tests: networking},
	"github.com/quic-go":                      {units: []string{"p2p"}},
	"google.golang.org/protobuf":              {units: []string{"p2p", "dht", "internal/badgerdisk"}, tests: []string{"internal/hostile"}},

	"github.com/klauspost/reedsolomon": {units: []string{"shards"}},
	"github.com/klauspost/cpuid":       {units: []string{"shards"}},
	"go.sia.tech/core":                 {units: []string{"shards"}},
	// userfile asks whether a file is a mount of its own.
	"golang.org/x/sys":                  {units: []string{"internal/badgerdisk", "shards", "store", "ledger/engine", "cmd/walrus", "doctor", "internal/userfile"}, tests: []string{"internal/faultfs", "internal/natbench", "node", "node/keeper"}},
	"golang.org/x/crypto":               {everywhere: true},
	"golang.org/x/sync":                 {except: []string{"certs"}, everywhere: true},
	"golang.org/x/exp/slog":             {units: []string{"gateway"}}, // the logger of tusd
	"golang.org/x/net/netutil":          {units: []string{"pinapi"}},  // bounds connections
	"golang.org/x/time":                 {units: []string{"p2p", "dht", "gateway", "node", "pin"}},
	"github.com/consensys/gnark-crypto": {units: []string{"certs"}},
	"github.com/cloudflare/circl":       {units: []string{"certs"}},
	"github.com/hanwen/go-fuse":         {units: []string{"internal/faultfs"}},
	"github.com/dgraph-io":              {units: []string{"store", "ledger/engine/badgerdb", "internal/badgerdisk", "pin", "monitor"}},
	"github.com/dgraph-io/ristretto":    {units: []string{"client", "gateway"}}, // TinyLFU; Badger brings it
	"github.com/go-kit/kit":             {units: []string{"ledger/engine"}},     // a type of CometBFT's metrics
	"github.com/cometbft":               {units: []string{"ledger/engine", "ledger/engine/badgerdb", "ledger/light"}},
	"github.com/cosmos/gogoproto":       {units: []string{"ledger/engine", "ledger/light"}},
	"github.com/hashicorp/golang-lru":   {units: []string{"ledger/engine", "ledger/light"}},
	// The signatures that consensus and transactions agree upon must be judged by one implementation.
	"github.com/oasisprotocol/curve25519-voi": {units: []string{"ledger"}},
	"go.yaml.in/yaml":                         {units: []string{"ledger", "ledger/wallet", "config"}, tests: []string{"node"}},
	"filippo.io/age":                          {units: []string{"client", "cmd/walrus"}},
	"github.com/danielgtaylor/huma":           {units: []string{"gateway"}},
	"github.com/go-chi":                       {units: []string{"gateway"}},
	"github.com/golang-jwt/jwt":               {units: []string{"gateway"}},
	"github.com/tus/tusd":                     {units: []string{"gateway"}},
	"github.com/prometheus/client_golang":     {units: []string{"p2p", "node", "node/keeper", "gateway", "pinnode", "monitornode"}},

	"github.com/spf13/cobra":                {units: []string{"cmd/walrus"}},
	"github.com/spf13/pflag":                {units: []string{"cmd/walrus"}},
	"github.com/cheggaaa/pb":                {units: []string{"cmd/walrus"}},
	"golang.org/x/term":                     {units: []string{"cmd/walrus"}},
	"golang.org/x/tools":                    {testsEverywhere: true},
	"github.com/rogpeppe":                   {testsEverywhere: true},
	"github.com/chromedp":                   {testsEverywhere: true},
	"github.com/santhosh-tekuri/jsonschema": {testsEverywhere: true},
	"go.uber.org/goleak":                    {testsEverywhere: true},
	"pgregory.net/rapid":                    {testsEverywhere: true},
	"github.com/google/go-cmp":              {testsEverywhere: true},
}

// standard restricts packages of the standard library, by the same kind of prefix. Tests are free.
var standard = map[string]module{
	// The pure packages do no I/O and know no clock.
	"net":              {except: join(pure, timed...), everywhere: true},
	"net/http":         {except: join(join(pure, timed...), "store", "ledger", "ledger/wallet", "ledger/light", "ledger/engine", "ledger/engine/badgerdb", "internal/badgerdisk"), everywhere: true},
	"os":               {except: join(pure, timed...), everywhere: true},
	"time":             {except: pure, everywhere: true},
	"syscall":          {except: join(pure, timed...), everywhere: true},
	"log/slog":         {except: join(pure, timed...), everywhere: true},
	"log":              {}, // log/slog, passed in
	"math/rand":        {},
	"math/rand/v2":     {except: join(pure, timed...), everywhere: true},
	"expvar":           {},
	"plugin":           {},
	"encoding/gob":     {},
	"testing":          {units: []string{"internal/swarmtest", "internal/ledgertest", "internal/faultfs", "internal/wrongtest"}},
	"testing/synctest": {units: []string{"internal/swarmtest"}},
}

func join(a []string, b ...string) []string { return append(append([]string(nil), a...), b...) }
