package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/alert"
	"walrus/certs"
	"walrus/monitor"
	"walrus/node/keeper"
	"walrus/probe"
	"walrus/shards"
)

const (
	// maxFacts bounds the facts that wait. What does not fit is counted and dropped.
	maxFacts = 256
	// settleLook is the pause between looks whether slivers that were named are stored again.
	settleLook = 5 * time.Second
	// evidenceTime: what the node has found itself waits so long for a monitor's evidence of the same blob, so that the
	// alert can name it. The question that showed the loss was probably a probe.
	evidenceTime = 10 * time.Second
	// examineTime bounds the wait for the examination of a sliver before the alert goes out; it goes on afterwards.
	examineTime = 15 * time.Second
	// maxExamined bounds the examinations under way or waiting. They run one after the other.
	maxExamined = 4
	// oldEvidence: evidence signed so many heights ago alone is no reason for an alert; the sliver is examined, though.
	// It allows for a monitor and a node that were apart for a while.
	oldEvidence = 10 * probe.Window
	// fetchTime bounds one question to a monitor for the evidence behind its attestation, and maxFetches those at the
	// same time.
	fetchTime, maxFetches = 20 * time.Second, 4
)

// alarms tells the operator of trouble with this node: what monitors put here and attest, and what the keeper finds. It
// never blocks those who tell it something.
type alarms struct {
	log    *slog.Logger // constant, as are the next five
	keeper examiner
	sender *alert.Sender
	files  *alert.Files // nil: nothing is kept on the disk
	facts  chan any     // monitor.Event, keeper.Loss, proof, alert.Fact
	parts  alarmParts

	dropped  atomic.Int64
	fetches  chan struct{}
	examined chan struct{}

	mu   sync.Mutex // guards the rest
	book *alert.Book
	seen map[string]bool // evidence that was handled, by hash; at most maxFacts
	r    alert.Reach
	// found has the losses that wait for evidence, by blob; at most maxFacts.
	found map[shards.BlobID]foundLoss
}

// foundLoss holds a loss until evidence has come, or its time is over.
type foundLoss struct {
	fact alert.Fact
	at   time.Time
}

// examiner looks after the slivers of a node. *keeper.Keeper implements it.
type examiner interface {
	// Examine reads a sliver and begins to repair it if need be. Errors are temporary.
	Examine(ctx context.Context, s keeper.Sliver) (keeper.Finding, error)
	// Settled reports whether a sliver is stored, or not owed.
	Settled(s keeper.Sliver) bool
}

// alarmParts has the other parts of the node that alarms uses.
type alarmParts struct {
	self     peer.ID
	network  certs.NetworkID
	height   func() uint64
	receipts func(ctx context.Context, monitor peer.ID, round uint64, node peer.ID) ([]byte, error)
}

// proof is evidence against this node that was fetched or put here, and judged.
type proof struct {
	evidence *probe.Evidence
	verdict  probe.Verdict
	monitor  peer.ID
}

// newAlarms makes the alarms of a node. The keeper is set before it runs.
func newAlarms(cfg *Config, self peer.ID) (*alarms, error) {
	who := alert.Node{Network: cfg.P2P.Network, ID: self.String(), Name: cfg.Name}
	a := &alarms{
		log: cfg.Logger, sender: alert.NewSender(cfg.Alerts, cfg.Logger), facts: make(chan any, maxFacts),
		fetches: make(chan struct{}, maxFetches), examined: make(chan struct{}, maxExamined),
		book: alert.NewBook(who), seen: map[string]bool{}, found: map[shards.BlobID]foundLoss{},
	}
	if cfg.Home == "" {
		return a, nil
	}
	var err error
	if a.files, err = alert.OpenFiles(cfg.Home); err != nil {
		return nil, err
	}
	if book, err := alert.LoadBook(cfg.Home, who); err != nil { // no reason not to start
		a.log.Warn("the last alerts cannot be read; they are forgotten", "err", err)
	} else {
		a.book = book
	}
	a.r.Since(a.book.Firing(alert.Unreachable))
	return a, nil
}

// tell takes what a Watch saw of this node.
func (a *alarms) tell(e monitor.Event) { a.queue(e) }

// lost takes what the keeper has found.
func (a *alarms) lost(l keeper.Loss) { a.queue(l) }

func (a *alarms) queue(fact any) {
	select {
	case a.facts <- fact:
	default:
		a.dropped.Add(1)
	}
}

// run turns facts into alerts until ctx ends.
func (a *alarms) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = a.sender.Run(ctx) })
	for ctx.Err() == nil {
		timer := time.NewTimer(a.wait(time.Now()))
		select {
		case <-ctx.Done():
		case fact := <-a.facts:
			a.handle(ctx, &wg, fact)
		case <-timer.C:
			a.look()
		}
		timer.Stop()
	}
	return nil
}

// wait returns the time to the next look.
func (a *alarms) wait(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait := time.Hour
	if next := a.book.Next(); !next.IsZero() {
		wait = max(0, min(wait, next.Sub(now)))
	}
	for _, c := range alert.Causes {
		if len(a.book.Open(c)) > 0 {
			wait = min(wait, settleLook)
		}
	}
	if len(a.found) > 0 {
		wait = min(wait, evidenceTime/2)
	}
	return wait
}

// handle processes one fact.
func (a *alarms) handle(ctx context.Context, wg *sync.WaitGroup, fact any) {
	switch f := fact.(type) {
	case keeper.Loss:
		detail := "it was not stored any more"
		if f.Corrupt {
			detail = "it was damaged on the disk"
		}
		a.hold(alert.Fact{Cause: alert.Missing, Blob: f.Blob, Axis: f.Axis, Sliver: f.Index, Symbol: alert.NoCell,
			Detail: detail + "; it is being repaired from other nodes"})
	case monitor.Event:
		a.event(ctx, wg, f)
	case proof:
		a.convicted(ctx, wg, f)
	case alert.Fact:
		a.note(f)
	}
}

// hold keeps a loss for evidenceTime. One of each blob is enough.
func (a *alarms) hold(f alert.Fact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.found[f.Blob]; !ok && len(a.found) < maxFacts {
		a.found[f.Blob] = foundLoss{f, time.Now()}
	}
}

// ripe takes the losses for which no evidence has come in time.
func (a *alarms) ripe(now time.Time) (list []alert.Fact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for blob, l := range a.found {
		if now.Sub(l.at) >= evidenceTime {
			list = append(list, l.fact)
			delete(a.found, blob)
		}
	}
	return list
}

// event processes what the Watch saw.
func (a *alarms) event(ctx context.Context, wg *sync.WaitGroup, e monitor.Event) {
	switch {
	case e.Proof != nil:
		if err := a.judge(ctx, wg, e.Proof, e.Monitor); err != nil {
			a.log.Warn("evidence against this node cannot be read", "monitor", e.Monitor.String(), "err", err)
		}
	case e.Monitor == "":
		a.verdict(e)
	case e.Outcome.Convicts():
		a.fetch(ctx, wg, e)
	}
}

// verdict processes the weighted median of a round.
func (a *alarms) verdict(e monitor.Event) {
	if !e.Outcome.Answered() && !e.Outcome.Silent() {
		return // nobody said anything
	}
	a.mu.Lock()
	down, up := a.r.Round(e.Round, !e.Outcome.Silent())
	a.mu.Unlock()
	if down || up {
		a.note(alert.Fact{Cause: alert.Unreachable, Over: up, Detail: map[bool]string{
			true: fmt.Sprintf("for %d rounds by weighted median; check its network, or run walrus doctor", alert.UnreachableRounds)}[down]})
	}
}

// fetch asks a monitor for the evidence behind its attestation, beside the loop. An accusation without evidence is
// nothing to act on.
func (a *alarms) fetch(ctx context.Context, wg *sync.WaitGroup, e monitor.Event) {
	select {
	case a.fetches <- struct{}{}:
	default:
		return // others are asked already
	}
	wg.Go(func() {
		defer func() { <-a.fetches }()
		short, cancel := context.WithTimeout(ctx, fetchTime)
		defer cancel()
		raw, err := a.parts.receipts(short, e.Monitor, e.Round, a.parts.self)
		if err != nil {
			a.log.Debug("a monitor that accuses this node gives no evidence", "monitor", e.Monitor.String(), "err", err)
			return
		}
		shown, err := monitor.ParseReceipts(raw)
		if err != nil {
			a.log.Debug("a monitor that accuses this node gives no evidence", "monitor", e.Monitor.String(), "err", err)
			return
		}
		for _, evidence := range shown.Evidence { // it convicts by itself: no proof from the attestation is needed
			if v, err := probe.Judge(evidence); err == nil && v.Node == a.parts.self && v.Network == a.parts.network {
				a.queue(proof{evidence, v, e.Monitor})
			}
		}
	})
}

// judge verifies evidence and acts on it.
func (a *alarms) judge(ctx context.Context, wg *sync.WaitGroup, e *probe.Evidence, from peer.ID) error {
	v, err := probe.Judge(e)
	if err != nil {
		return err
	}
	if v.Node != a.parts.self {
		return fmt.Errorf("%w: it is against %s", probe.ErrNotConvicted, v.Node)
	}
	a.convicted(ctx, wg, proof{e, v, from})
	return nil
}

// convicted acts on evidence that convicts this node: the sliver is examined and repaired, the evidence kept, and the
// operator told.
func (a *alarms) convicted(ctx context.Context, wg *sync.WaitGroup, p proof) {
	name, known := a.keep(p.evidence)
	if known {
		return
	}
	v := &p.verdict
	found := a.examine(ctx, wg, keeper.Sliver{Blob: v.Blob, Axis: v.Axis, Index: v.Sliver})
	old := v.Height+oldEvidence < a.parts.height()
	if found == keeper.NotOwed || old && (found == keeper.Sound || found == "") {
		a.log.Info("a monitor gave evidence of a fault that is over", "monitor", p.monitor.String(), "blob", v.Blob.String())
		return
	}
	f := alert.Fact{Cause: alert.Wrong, Blob: v.Blob, Axis: v.Axis, Sliver: v.Sliver, Symbol: v.Target, Monitor: p.monitor, Evidence: name}
	if v.Kind == probe.KindMissing {
		f.Cause, f.Symbol = alert.Missing, asked(p.evidence, v.Sliver)
	}
	f.Detail = map[keeper.Finding]string{
		keeper.Sound:   "it has been stored again since",
		keeper.Gone:    "it is not stored, and is being repaired from other nodes",
		keeper.Damaged: "what was stored of it was not right, and is being repaired from other nodes",
	}[found]
	if found == keeper.Sound && f.Cause == alert.Wrong {
		f.Detail = "what is stored of it now is right: suspect the memory, the disk's controller, or the program"
	}
	a.mu.Lock()
	delete(a.found, f.Blob) // the operator is told with the evidence
	a.mu.Unlock()
	a.note(f)
}

// asked returns the position that a refused question asked for.
func asked(e *probe.Evidence, sliver int) int {
	q := &e.Receipts[0].Question
	for _, s := range q.Slivers {
		if s == sliver && len(q.Targets) > 0 {
			return q.Targets[0]
		}
	}
	return alert.NoCell
}

// keep writes evidence into the home. known tells that it has been handled before.
func (a *alarms) keep(e *probe.Evidence) (name string, known bool) {
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		a.log.Error("evidence against this node cannot be kept", "err", err)
		return "", false
	}
	key := e.Receipts[0].Question.Nonce.String()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[key] {
		return "", true
	}
	if len(a.seen) >= maxFacts {
		clear(a.seen)
	}
	a.seen[key] = true
	if a.files == nil {
		return "", false
	}
	name, known, err = a.files.Keep(append(raw, '\n'), time.Now())
	if err != nil {
		a.log.Error("evidence against this node cannot be kept", "err", err)
	}
	return name, known
}

// examine has the keeper look at a sliver, which repairs it if need be. It waits for examineTime at most, and returns
// "" if the result is not known by then.
func (a *alarms) examine(ctx context.Context, wg *sync.WaitGroup, s keeper.Sliver) keeper.Finding {
	select {
	case a.examined <- struct{}{}:
	default:
		return ""
	}
	done := make(chan keeper.Finding, 1)
	wg.Go(func() {
		defer func() { <-a.examined }()
		found, err := a.keeper.Examine(ctx, s)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("a sliver that a monitor doubts cannot be examined", "blob", s.Blob.String(), "err", err)
		}
		done <- found
	})
	timer := time.NewTimer(examineTime)
	defer timer.Stop()
	select {
	case found := <-done:
		return found
	case <-timer.C:
	case <-ctx.Done():
	}
	return ""
}

// look tells what is due, and finds out which slivers are stored again.
func (a *alarms) look() {
	for _, f := range a.ripe(time.Now()) {
		a.note(f)
	}
	for _, c := range alert.Causes {
		a.mu.Lock()
		open := a.book.Open(c)
		a.mu.Unlock()
		for _, s := range open {
			if a.keeper.Settled(keeper.Sliver{Blob: s.Blob, Axis: s.Axis, Index: s.Index}) {
				a.note(alert.Fact{Cause: c, Over: true, Blob: s.Blob, Axis: s.Axis, Sliver: s.Index})
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.send(a.book.Due(time.Now()))
}

// note puts a fact into the book and sends what follows.
func (a *alarms) note(f alert.Fact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.send(a.book.Note(f, time.Now()))
}

// send writes the book down and sends alerts. a.mu is held.
func (a *alarms) send(list []alert.Alert) {
	if a.files != nil {
		if err := a.files.Save(a.book); err != nil {
			a.log.Warn("the last alerts cannot be written down", "err", err)
		}
	}
	for _, x := range list {
		a.sender.Send(x)
	}
}

// firing reports whether there is trouble of a cause.
func (a *alarms) firing(c alert.Cause) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.book.Firing(c)
}
