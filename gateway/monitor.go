package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"walrus/gateway/pages"
)

// What monitors saw of the network, as the pages and /v1/monitor show it.
type (
	// Monitor reads it.
	Monitor = pages.Monitor
	// MonitorOverview has the scores of all nodes.
	MonitorOverview = pages.MonitorOverview
	// MonitorRound tells which round it is.
	MonitorRound = pages.MonitorRound
	// NodeScore is a node with its scores.
	NodeScore = pages.NodeScore
	// NodeHours has the hours of a node.
	NodeHours = pages.NodeHours
	// Hour sums up an hour of a node.
	Hour = pages.Hour
	// Counts has a number for each outcome.
	Counts = pages.Counts
	// Outcome of a round for a node.
	Outcome = pages.Outcome
	// MonitorInfo tells of a monitor.
	MonitorInfo = pages.MonitorInfo
	// MonitorMatrix has what each monitor saw of each node.
	MonitorMatrix = pages.MonitorMatrix
	// MonitorRow is one monitor's part of it.
	MonitorRow = pages.MonitorRow
	// BlobRisks tells how many slivers sampled blobs have.
	BlobRisks = pages.BlobRisks
	// BlobRisk is the last sample of a blob.
	BlobRisk = pages.BlobRisk
	// Evidence convicts a node.
	Evidence = pages.Evidence
)

// Levels of a node.
const (
	LevelNoData = pages.LevelNoData
	LevelGood   = pages.LevelGood
	LevelWarn   = pages.LevelWarn
	LevelBad    = pages.LevelBad
)

// ErrNoProof is wrapped by EvidenceFile's errors for a proof that is not here.
var ErrNoProof = pages.ErrNotFound

// badgeAge: caches may keep a badge for so many seconds, half of the longest round.
const badgeAge = 300

// tagMonitor groups the routes of monitors in the document.
const tagMonitor = "monitors"

// Parameters of the routes of monitors.
type (
	monitorIn struct{}
	nodeIn    struct {
		Node string `path:"node" maxLength:"200" example:"node-0" doc:"The node's name or peer ID."`
	}
	badgeIn struct {
		File string `path:"file" maxLength:"204" example:"node-0.svg" doc:"The node's name or peer ID, with .svg behind it."`
	}
	evidenceIn struct {
		ID string `path:"id" pattern:"^[0-9a-f]{64}$" example:"26a2c1f5f0cde1b9a1d2b03a1bd6f6ab1b3b4a0f0d6d2a4d8f6a7b1c9e0f3d52" doc:"The ID of the evidence."`
	}
)

// addMonitor adds the routes of monitors.
func (g *Gateway) addMonitor(api huma.API) {
	get := func(id, path, summary, description string, result reflect.Type) huma.Operation {
		op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{tagMonitor}, Summary: summary,
			Description: description, Responses: monitorResponses(api)}
		if result != nil {
			schema := api.OpenAPI().Components.Schemas.Schema(result, true, "")
			op.Responses["200"] = &huma.Response{Description: "The answer.", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
		}
		return op
	}
	register(g, api, reading, get("monitor", "/v1/monitor", "See how the nodes fare by the word of the monitors",
		"The scores are weighted medians of signed attestations. A node without data is not well: nobody knows.", reflect.TypeFor[MonitorOverview]()),
		func(w http.ResponseWriter, r *http.Request, _ *monitorIn) error {
			return g.answerMonitor(w, func(m Monitor) (any, error) { return m.Overview(r.Context()) })
		})
	register(g, api, reading, get("monitor-node", "/v1/monitor/nodes/{node}", "See a node's month",
		"Scores, hours and proofs of the last 30 days.", reflect.TypeFor[pages.NodeDetail]()),
		func(w http.ResponseWriter, r *http.Request, in *nodeIn) error {
			return g.answerMonitor(w, func(m Monitor) (any, error) {
				d, _, err := pages.Detail(r, m, in.Node)
				return d, err
			})
		})
	register(g, api, reading, get("monitor-matrix", "/v1/monitor/matrix", "See what each monitor saw of each node",
		"In the newest round for which most of them have attested. If the network is split, it shows here.", reflect.TypeFor[MonitorMatrix]()),
		func(w http.ResponseWriter, r *http.Request, _ *monitorIn) error {
			return g.answerMonitor(w, func(m Monitor) (any, error) { return m.Matrix(r.Context()) })
		})
	register(g, api, reading, get("monitor-risk", "/v1/monitor/risk", "See the blobs at risk",
		"By samples of whole blobs, which only a node that monitors takes.", reflect.TypeFor[BlobRisks]()),
		func(w http.ResponseWriter, r *http.Request, _ *monitorIn) error {
			return g.answerMonitor(w, func(m Monitor) (any, error) { return m.Risk(r.Context()) })
		})
	evidence := get("monitor-evidence", "/v1/monitor/evidence/{id}", "Download a proof against a node",
		"The node itself has signed it. walrus monitor verify judges the file offline.", nil)
	evidence.Responses["200"] = &huma.Response{Description: "The proof, as a file.", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}}}
	register(g, api, reading, evidence, g.evidence)
	badge := get("monitor-badge", "/v1/monitor/badge/{file}", "Get a badge of a node to show elsewhere",
		"An image that needs nothing else. Caches may keep it for five minutes.", nil)
	badge.Responses["200"] = &huma.Response{Description: "The image.", Content: map[string]*huma.MediaType{"image/svg+xml": {}},
		Headers: map[string]*huma.Param{"Cache-Control": header("How long a cache may keep it.", "public, max-age=300")}}
	register(g, api, reading, badge, g.badge)
}

// monitorResponses returns the responses of all routes of monitors, except success.
func monitorResponses(api huma.API) map[string]*huma.Response {
	return responses{
		http.StatusBadRequest:          problem(api, "The request is malformed."),
		http.StatusNotFound:            problem(api, "There is no such node or proof (NOT_MONITORED_NODE), or this gateway has no data of monitors (NOT_MONITORING)."),
		http.StatusInternalServerError: problem(api, "Internal error of the gateway."),
		http.StatusServiceUnavailable:  problem(api, "The data cannot be read now; try again after Retry-After."),
		http.StatusGatewayTimeout:      problem(api, "The data could not be read in time."),
	}.document()
}

// ask asks the data source; an error becomes the failure for the client.
func (g *aggregator) ask(fn func(Monitor) (any, error)) (any, error) {
	if g.cfg.Monitor == nil {
		return nil, &failure{code: http.StatusNotFound, status: "NOT_FOUND", reason: "NOT_MONITORING", domain: domainGlobal,
			message: "this gateway does not listen to monitors: start it with --monitors FOLDER, or ask one beside a storage node"}
	}
	v, err := fn(g.cfg.Monitor)
	if errors.Is(err, pages.ErrNotFound) {
		return nil, &failure{code: http.StatusNotFound, status: "NOT_FOUND", reason: "NOT_MONITORED_NODE", domain: domainGlobal, message: err.Error()}
	}
	if err != nil {
		g.log.Warn("reading the data of monitors failed", "err", err)
		return nil, unavailable("MONITOR_UNAVAILABLE", errors.New("the data of monitors cannot be read now: the gateway's log has the reason"))
	}
	return v, nil
}

func (g *aggregator) answerMonitor(w http.ResponseWriter, fn func(Monitor) (any, error)) error {
	v, err := g.ask(fn)
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // a client that has left needs no answer
	return nil
}

func (g *aggregator) evidence(w http.ResponseWriter, r *http.Request, in *evidenceIn) error {
	v, err := g.ask(func(m Monitor) (any, error) { return m.EvidenceFile(r.Context(), in.ID) })
	if err != nil {
		return err
	}
	b, _ := v.([]byte)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="evidence-`+in.ID[:16]+`.json"`)
	_, _ = w.Write(b) //nolint:gosec // JSON, said to be that
	return nil
}

func (g *aggregator) badge(w http.ResponseWriter, r *http.Request, in *badgeIn) error {
	node, ok := strings.CutSuffix(in.File, ".svg")
	if !ok {
		return malformed("the address of a badge ends with .svg")
	}
	v, err := g.ask(func(m Monitor) (any, error) {
		o, err := m.Overview(r.Context())
		if err != nil {
			return nil, err
		}
		n := o.Named(node)
		if n == nil {
			return nil, fmt.Errorf("node %.100s: %w in the committee", node, pages.ErrNotFound)
		}
		return pages.Badge(n)
	})
	if err != nil {
		return err
	}
	b, _ := v.([]byte)
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", badgeAge))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	_, _ = w.Write(b) //nolint:gosec // made by a template that escapes
	return nil
}
