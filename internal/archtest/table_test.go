package archtest

// A unit is a package with all packages below it, which only it may import.

// core is the vocabulary that everything above the siblings may use.
var core = []string{"shards", "certs"}

// siblings each adapt one technology and do not know each other; only node imports several.
var siblings = []string{"store", "p2p", "dht", "ledger"}

// units are all units of the project and the units each may import: only down. A package not listed is a violation.
var units = map[string]unit{
	"shards": {},
	"certs":  {imports: []string{"shards"}},
	"bench":  {imports: []string{"shards"}},

	"store":  {imports: core},
	"p2p":    {imports: core, tests: []string{"internal/swarmtest"}},
	"dht":    {imports: core, tests: []string{"internal/swarmtest"}},
	"ledger": {imports: core},

	"client":  {imports: join(core, "p2p"), tests: []string{"store", "dht", "ledger", "internal/swarmtest"}},
	"gateway": {imports: join(core, "client"), tests: []string{"ledger", "internal/swarmtest"}},
	"node":    {imports: join(join(core, siblings...), "client", "gateway"), tests: []string{"internal/swarmtest"}},

	"config": {imports: join(join(core, siblings...), "client", "gateway", "node")},
	// p2p only for the types of the client's answers; what is opened and wired is node's business.
	"cmd/walrus": {imports: join(core, "bench", "config", "node", "gateway", "client", "ledger", "p2p")},

	"internal/archtest":  {},
	"internal/swarmtest": {imports: join(join(core, siblings...), "client", "node")},
}

// networking are the units whose business is libp2p.
var networking = []string{"p2p", "dht", "node", "internal/swarmtest"}

// modules are all third-party imports: by import path prefix, the longest that matches decides. An import that matches
// none is a violation, so that a new dependency is a decision seen here.
var modules = map[string]module{
	// Everybody may name a peer; addresses are vocabulary too, except for the pure packages.
	"github.com/libp2p/go-libp2p/core/peer":   {everywhere: true},
	"github.com/multiformats/go-multiaddr":    {except: []string{"shards", "certs"}, everywhere: true},
	"github.com/libp2p/go-libp2p/core/crypto": {units: join(networking, "config"), testsEverywhere: true},
	"github.com/libp2p/go-libp2p/core/test":   {testsEverywhere: true},
	"github.com/libp2p":                       {units: networking},
	"github.com/multiformats":                 {units: networking},
	"github.com/ipfs":                         {units: networking},
	"github.com/marcopolo/simnet":             {units: []string{"internal/swarmtest"}, tests: networking},
	"github.com/quic-go":                      {units: []string{"p2p"}},
	"google.golang.org/protobuf":              {units: []string{"p2p", "dht", "store"}},

	"github.com/klauspost/reedsolomon":    {units: []string{"shards"}},
	"github.com/klauspost/cpuid":          {units: []string{"shards"}},
	"go.sia.tech/core":                    {units: []string{"shards"}},
	"golang.org/x/sys":                    {units: []string{"shards", "store", "cmd/walrus"}},
	"golang.org/x/crypto":                 {everywhere: true},
	"golang.org/x/sync":                   {except: []string{"certs"}, everywhere: true},
	"golang.org/x/time":                   {units: []string{"p2p", "gateway", "node"}},
	"github.com/consensys/gnark-crypto":   {units: []string{"certs"}},
	"github.com/cloudflare/circl":         {units: []string{"certs"}},
	"github.com/dgraph-io":                {units: []string{"store"}},
	"github.com/cometbft":                 {units: []string{"ledger"}},
	"go.yaml.in/yaml":                     {units: []string{"ledger", "config"}},
	"filippo.io/age":                      {units: []string{"client", "cmd/walrus"}},
	"github.com/danielgtaylor/huma":       {units: []string{"gateway"}},
	"github.com/go-chi/chi":               {units: []string{"gateway"}},
	"github.com/prometheus/client_golang": {units: []string{"p2p", "node", "gateway"}},

	"github.com/spf13/cobra":   {units: []string{"cmd/walrus"}},
	"github.com/spf13/pflag":   {units: []string{"cmd/walrus"}},
	"github.com/cheggaaa/pb":   {units: []string{"cmd/walrus"}},
	"golang.org/x/term":        {units: []string{"cmd/walrus"}},
	"golang.org/x/tools":       {testsEverywhere: true},
	"github.com/rogpeppe":      {testsEverywhere: true},
	"github.com/chromedp":      {testsEverywhere: true},
	"go.uber.org/goleak":       {testsEverywhere: true},
	"pgregory.net/rapid":       {testsEverywhere: true},
	"github.com/google/go-cmp": {testsEverywhere: true},
}

// standard is what of the standard library, by the same kind of prefix, is not for everybody. Tests are free.
var standard = map[string]module{
	// The pure packages do no I/O and know no clock.
	"net":              {except: []string{"shards", "certs"}, everywhere: true},
	"net/http":         {except: []string{"shards", "certs", "store", "ledger"}, everywhere: true},
	"os":               {except: []string{"shards", "certs"}, everywhere: true},
	"time":             {except: []string{"shards", "certs"}, everywhere: true},
	"syscall":          {except: []string{"shards", "certs"}, everywhere: true},
	"log/slog":         {except: []string{"shards", "certs"}, everywhere: true},
	"log":              {}, // log/slog, passed in
	"math/rand":        {},
	"math/rand/v2":     {except: []string{"shards", "certs"}, everywhere: true},
	"expvar":           {},
	"plugin":           {},
	"encoding/gob":     {},
	"testing":          {units: []string{"internal/swarmtest"}},
	"testing/synctest": {units: []string{"internal/swarmtest"}},
}

func join(a []string, b ...string) []string { return append(append([]string(nil), a...), b...) }
