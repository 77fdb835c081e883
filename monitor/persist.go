package monitor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"walrus/monitor/round"
	"walrus/monitor/score"
)

// load reads what was kept before a restart.
func (w *Watch) load() error {
	if _, err := w.db.readJSON([]byte{keyScores}, &w.state); err != nil {
		return err
	}
	if w.state.Standings == nil {
		w.state.Standings = map[string]*score.Standing{}
	}
	if w.state.Last == nil {
		w.state.Last = map[string]lastSeen{}
	}
	if w.state.Written == nil {
		w.state.Written = map[string]spent{}
	}
	return w.db.each([]byte{keyTwice}, []byte{keyTwice + 1}, func(_, v []byte) (bool, error) {
		proof, err := round.ParseEquivocation(v)
		if err == nil && proof.Verify(w.network) == nil {
			w.book.Silence(proof.First.Monitor, w.start(proof.First.Round).Add(round.SilenceTime))
		}
		return true, nil
	})
}

// replay takes in the messages of the last rounds again, after the first look at the ledger. w.mu is held.
func (w *Watch) replay() {
	current := round.Number(w.nowLocked(), w.length)
	from := max(current, foldAfter+1) - foldAfter - 1
	_ = w.db.each(roundKey(keyMessage, w.start(from), from), []byte{keyMessage + 1}, func(_, v []byte) (bool, error) {
		m, err := round.ParseAttestation(v)
		if err != nil || m.Round < w.state.Next {
			return true, nil
		}
		d := w.book.Step(w.start(m.Round+1), v)
		if a, ok := d.Keep.(*round.Attestation); ok {
			r := w.recentOf(a.Round)
			r.attested[a.Monitor], r.verdicts = a, nil
		}
		return true, nil
	}) // without them, the scores lack a few rounds
}

// flush writes what waits, and makes it durable.
func (w *Watch) flush() error {
	w.mu.Lock()
	list := w.unsent
	w.unsent = nil
	w.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	for len(list) > 0 {
		n := min(len(list), writeTogether)
		if err := w.db.put(list[:n]...); err != nil {
			return fmt.Errorf("write what monitors say: %w", err)
		}
		list = list[n:]
	}
	return w.db.sync()
}

// writeTogether bounds the pairs of one transaction. The longest have some KiB.
const writeTogether = 200

// age removes what is too old.
func (w *Watch) age() error {
	today := dayOf(w.now())
	for _, k := range []struct {
		kind byte
		keep time.Duration
	}{
		{keyMessage, RawTime}, {keyFolded, RoundTime}, {keyReceipts, RoundTime}, {keyEvidence, RoundTime}, {keyFacts, RoundTime},
		{keyTwice, RoundTime}, {keyHour, HourTime},
	} {
		for {
			day, found, err := w.db.firstDay(k.kind)
			if err != nil {
				return err
			}
			if !found || day+uint32(k.keep/(24*time.Hour)) >= today {
				break
			}
			if err := w.db.dropDay(k.kind, day); err != nil {
				return fmt.Errorf("remove what is too old: %w", err)
			}
		}
	}
	return nil
}

// roster returns the number of the list of members, which is written if it is new. w.mu is held.
func (w *Watch) roster(v *view) uint32 {
	raw := marshalRoster(v.roster())
	sum := sha256.Sum256(raw)
	if id := hex.EncodeToString(sum[:8]); w.state.Members != id {
		w.state.Roster++
		w.state.Members = id
		w.unsent = append(w.unsent, pair{rosterKey(w.state.Roster), raw})
	}
	return w.state.Roster
}

// addHour adds a folded round to the summary of its hour. w.mu is held.
func (w *Watch) addHour(number uint64, f *folded, v *view) {
	hour := uint32(w.start(number).Unix() / 3600)
	if w.hour == nil || w.hour.number != hour {
		w.hour = &hourRecord{number: hour}
		if raw, err := w.db.get(hourKey(hour)); err == nil && raw != nil {
			_ = w.hour.read(raw) // a damaged one begins anew
		}
	}
	h := w.hour
	if h.roster != f.roster || len(h.cells) != len(f.nodes) {
		h.roster, h.cells = f.roster, make([]hourCell, len(f.nodes))
	}
	for i, r := range f.nodes {
		c := &h.cells[i]
		s := w.standing(v.com.Members()[i].Node)
		for k, line := range []score.Line{s.Durability, s.Reachability, s.Speed} {
			c.lines[k] = unknownLine
			if hundredths, ok := line.Score(); ok {
				c.lines[k] = uint8((hundredths + 50) / 100)
			}
		}
		if c.counts.add(r.Outcome); r.Outcome != round.NotAsked {
			c.rtt, c.rate = r.RTT, r.Rate
		}
	}
	w.unsent = append(w.unsent, pair{hourKey(hour), h.marshal()})
}

// read fills in an hour that was written before.
func (h *hourRecord) read(raw []byte) error {
	r, err := newHourReader(raw)
	if err != nil {
		return err
	}
	h.roster = r.roster
	for {
		var c hourCell
		more, err := r.next(&c)
		if err != nil {
			h.cells = nil
			return err
		}
		if !more {
			return nil
		}
		h.cells = append(h.cells, c)
	}
}

// hourOf reads the number of an hour out of its key.
func hourOf(key []byte) (uint32, error) {
	if len(key) != 9 {
		return 0, fmt.Errorf("%w: key %x", errDatabase, key)
	}
	return binary.BigEndian.Uint32(key[5:]), nil
}
