package keeper

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/p2p"
)

var update = flag.Bool("update", false, "write the traces anew")

// TestTraces plays the scripts of testdata on one keeper, "us", in virtual time. A script says line by line what
// happens. Below each line, indented, stands what is decided and what has changed here.
//
//	seats 5 us:0,1 ana:2,3     the committee of epoch 5
//	ledger enters epoch 5      also: registers x until 8, certifies CERT, repeats CERT, deletes x, is behind,
//	                           has caught up
//	client hands over CERT     CERT names a blob, an epoch, signers, and perhaps a fault: x@5 us,ana forged;
//	                           also: cut; relabelled, signed in the epoch before
//	ana gossips CERT           also: we gossip CERT
//	ana lists CERT; CERT       a page in a comparison of certificates
//	client uploads x           also: ends
//	disk has x                 also: loses x, loses secondary 0 of x; the number is the shard's
//	ana is down                also: is well, lies, lacks everything
//	memory 100                 for repair, in bytes
//	repair                     waits for the next debt and works on it
//	after 3s
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(b)) })
			if *update {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(b) {
				t.Errorf("decided otherwise; if that is right, run the test with -update and read the diff:\n%s", got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// play returns the script with what is decided.
func play(t *testing.T, script string) string {
	s := newScene(t)
	defer s.close()
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if line != "" && line[0] != '#' {
			s.event(strings.Fields(line))
			s.tell()
		}
	}
	return s.out.String()
}

// event plays one line.
func (s *scene) event(words []string) {
	switch strings.Join(words[:min(2, len(words))], " ") {
	case "client hands":
		s.handOver(words[3:])
		return
	case "we gossip":
		raw, _ := s.certificate(words[2:])
		v, _ := s.keeper.clerk.validate(s.t.Context(), s.keeper.clerk.self, raw)
		s.say("ours: it was verified and recorded before")
		s.say("so: %s", verdicts[v])
		return
	case "client uploads":
		s.endUpload = s.keeper.debts.upload(s.blob(words[2]).id())
		return
	case "client ends":
		s.endUpload()
		return
	}
	switch words[0] {
	case "seats":
		epoch := uint32(s.number(words[1]))
		s.known[epoch] = s.committee(epoch, words[2:])
	case "ledger":
		s.ledgerEvent(words[1:])
	case "disk":
		s.diskEvent(words[1:])
	case "memory":
		s.keeper.repairer.cfg.Memory = int64(s.number(words[1]))
	case "repair":
		s.repair()
	case "after":
		d, err := time.ParseDuration(words[1])
		s.must(err)
		time.Sleep(d)
	default:
		s.othersEvent(peer.ID(words[0]), words[1:])
	}
}

// ledgerEvent changes the state of the ledger here, and tells the keeper of the event.
func (s *scene) ledgerEvent(words []string) {
	set := func(key, value []byte) { s.ledger.values[string(key)] = value }
	e := ledger.Event{}
	switch words[0] {
	case "enters":
		e = ledger.Event{Kind: ledger.EventEpoch, Epoch: uint32(s.number(words[2]))}
		set(ledger.KeyEpoch(), ledger.EpochInfo{Epoch: e.Epoch}.Marshal())
		at, err := s.keeper.shelf.seats.now()
		if err != nil {
			s.say("our seats: %v", err)
			break
		}
		s.say("our shards: %v", at.shards)
	case "registers":
		e = ledger.Event{Kind: ledger.EventRegistered, Blob: s.blob(words[1]).id()}
		set(ledger.KeyBlobInfo(e.Blob), ledger.BlobInfo{PermanentEnd: uint32(s.number(words[3]))}.Marshal())
	case "deletes":
		e = ledger.Event{Kind: ledger.EventDeleted, Blob: s.blob(words[1]).id()}
		delete(s.ledger.values, string(ledger.KeyBlobInfo(e.Blob)))
	case "certifies", "repeats":
		name, _, _ := strings.Cut(words[1], "@")
		raw, signed := s.certificate(words[1:])
		s.say("%s, and verified by the network", signed)
		e = ledger.Event{Kind: ledger.EventCertified, Blob: s.blob(name).id(), Certificate: raw}
		if words[0] == "repeats" {
			break
		}
		info, epoch, err := s.keeper.chain.lookUp(e.Blob)
		s.must(err)
		info.InitialCertified, info.PermanentCertifiedEnd = epoch, info.PermanentEnd
		set(ledger.KeyBlobInfo(e.Blob), info.Marshal())
	case "is":
		s.ledger.ready = make(chan struct{})
	case "has": // caught up, or: x certified until 8
		if words[len(words)-2] != "until" {
			close(s.ledger.ready)
			break
		}
		e = ledger.Event{Kind: ledger.EventRegistered, Blob: s.blob(words[1]).id()}
		end := uint32(s.number(words[4]))
		epoch, err := s.keeper.chain.epoch()
		s.must(err)
		set(ledger.KeyBlobInfo(e.Blob), ledger.BlobInfo{InitialCertified: epoch, PermanentEnd: end,
			PermanentCertifiedEnd: end}.Marshal())
	default:
		s.t.Fatalf("the ledger %q", words)
	}
	s.keeper.follower.apply(1, []ledger.Event{e})
	s.keeper.pending.wake()
}

// verdicts are the words for what gossip does with a message.
var verdicts = map[p2p.Verdict]string{p2p.Accept: "accept and pass on", p2p.Reject: "reject, at a cost for the sender",
	p2p.Ignore: "ignore", p2p.Replay: "ignore, and count as a replay"}

// examine makes a certificate and says what it is found to be, with the reason.
func (s *scene) examine(words []string) (raw []byte, f facts) {
	raw, signed := s.certificate(words)
	cert, f := s.keeper.book.examine(raw)
	text := string(judge(f))
	switch judge(f) {
	case isBad, isStrange:
		text += ": " + f.err.Error()
	case isIdle:
		text += " here: " + s.keeper.chain.certified(cert.Blob).Error()
	case isKnown:
		text += " here already"
	case isFresh:
		end, err := s.keeper.chain.mayStore(cert.Blob)
		s.must(err)
		text += fmt.Sprintf(": certified here until epoch %d", end)
	}
	s.say("%s; %s", signed, text)
	return raw, f
}

// handOver gives the keeper a client's certificate.
func (s *scene) handOver(words []string) {
	raw, f := s.examine(words)
	s.say("so: %s", takeFromClient(f))
	go func() { s.answers <- s.keeper.Backend(s.others).PutCertificate(s.t.Context(), raw) }()
	if synctest.Wait(); len(s.answers) == 0 {
		s.say("the client waits")
	}
}

// gossip gives the keeper a certificate from the topic.
func (s *scene) gossip(from peer.ID, words []string) {
	raw, f := s.examine(words)
	v, decoded := s.keeper.clerk.validate(s.t.Context(), from, raw)
	s.say("so: %s", verdicts[v])
	if want, _ := judgeGossip(f); v != want {
		s.say("although it is judged: %s", verdicts[want])
	}
	if v == p2p.Accept {
		s.keeper.clerk.take(p2p.Message{Data: raw, Decoded: decoded})
	}
}

func (s *scene) othersEvent(who peer.ID, words []string) {
	switch words[0] {
	case "gossips":
		s.gossip(who, words[1:])
	case "lists":
		s.others.page = nil
		for _, text := range strings.Split(strings.Join(words[1:], " "), "; ") {
			raw, _ := s.examine(strings.Fields(text))
			s.others.page = append(s.others.page, raw)
		}
		at, err := s.keeper.shelf.seats.now()
		s.must(err)
		i, ok := at.Member(who)
		if !ok {
			s.t.Fatalf("%s is no member", who)
		}
		if err := s.keeper.syncer.compare(s.t.Context(), &at.Members()[i], false); err != nil {
			s.say("the comparison with %s ends: %v", string(who), err)
		}
	case "is", "lies", "lacks":
		s.others.moods[who] = words[len(words)-1]
	default:
		s.t.Fatalf("%s %q", who, words)
	}
}

// diskEvent changes the disk behind the keeper's back, and then counts anew.
func (s *scene) diskEvent(words []string) {
	b, st := s.blob(words[len(words)-1]), s.keeper.shelf
	at, err := st.seats.now()
	s.must(err)
	switch {
	case words[0] == "has":
		end, err := s.keeper.chain.mayStore(b.id())
		s.must(err)
		s.must(st.PutBlob(b.id(), b.meta.Marshal(), end))
		for _, ref := range at.slivers(b.id()) {
			w, err := st.Create(ref, int64(len(b.sliver(ref.Axis, st.params.PairOnShard(ref.Blob, ref.Shard)))))
			s.must(err)
			_, err = w.Write(b.sliver(ref.Axis, st.params.PairOnShard(ref.Blob, ref.Shard)))
			s.must(errors.Join(err, w.Commit()))
		}
	case len(words) == 2: // loses x
		raw, err := st.Certificate(b.id())
		s.must(errors.Join(err, st.DropBlob(b.id(), at.shards), st.PutCertificate(b.id(), at.Epoch(), raw)))
	default: // loses secondary 0 of x
		for _, ref := range at.slivers(b.id()) {
			if ref.Axis.String() == words[1] && slices.Contains(strings.Split(words[2], ","), fmt.Sprint(ref.Shard)) {
				s.must(st.DeleteSliver(ref))
			}
		}
	}
	s.must(s.keeper.book.recount(b.id(), 0))
}

// repair waits until the next debt is due and works on it.
func (s *scene) repair() {
	b, k := s.nextDue(), s.keeper
	if b == nil {
		s.say("nothing is owed")
		return
	}
	time.Sleep(time.Until(b.due))
	s.say("%s is due at %v", b.name, time.Since(s.start))
	before := s.out.String()
	s.out.Reset()
	s.others.steps = nil
	k.repairer.repairNext(s.t.Context())
	log := s.out.String()
	s.out.Reset()
	s.out.WriteString(before)
	if log == "" {
		s.say("it is being uploaded: look again later")
	}
	for i, step := range s.others.steps {
		if step.failed > 0 {
			s.say("step %d: symbols for %d %s slivers: too few come", i+1, step.failed, step.axis)
			continue
		}
		var on []string
		for _, index := range step.targets {
			on = append(on, fmt.Sprint(k.shelf.params.ShardOfPair(b.id(), k.shelf.params.PairOfSliver(step.axis, index))))
		}
		need := k.shelf.params.SourceSymbols(step.axis)
		from := fmt.Sprintf("from %d %s slivers: %d are ours, %d come from %s", need, step.axis.Other(), need-step.given,
			step.given, strings.Join(step.givers, " and "))
		if step.length == 0 {
			from = "from " + strings.Join(step.givers, " and ")
		}
		s.say("step %d: %s the %s slivers of shards [%s], %s", i+1, step.what(), step.axis, strings.Join(on, " "), from)
	}
	s.out.WriteString(log)
}
