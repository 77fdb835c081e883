package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
)

// ErrDisk refuses transactions while the ledger's disk is nearly full.
var ErrDisk = fmt.Errorf("%w: this node takes no transactions", light.ErrUnavailable)

const (
	// warnShare, warnMost and warnFree: the operator is warned when less than one part in warnShare of the disk is free,
	// unless that is more than warnMost bytes, which is room for years, or less than warnFree bytes.
	warnShare, warnMost, warnFree = 10, 10 << 30, 2 << 30
	// refuseFree: with fewer free bytes the node takes no transactions but those that other nodes have taken. If it
	// refused these as well, each of its turns to propose would delay a block. Above the last reserve, badgerdb.MinFree,
	// remain 384 MiB: without transactions a year of empty blocks, and a hundred full blocks or more of the others'. The
	// store takes no new data long before.
	refuseFree = 512 << 20
	// lookRoom is the pause between measurements of the disk.
	lookRoom = time.Second
)

// Alarm tells how short the ledger's disk is.
type Alarm int

// The alarms, from none to the last.
const (
	RoomEnough Alarm = iota
	// RoomShort: the operator should act.
	RoomShort
	// RoomNone: the node takes no transactions. It goes on with what others take.
	RoomNone
	// RoomLast: the node ends, since the next block might not fit.
	RoomLast
)

// Room describes the ledger's disk.
type Room struct {
	Free, Size int64 // bytes
	Alarm      Alarm
}

// judge decides about a disk. It is pure.
func judge(free, size int64) Room {
	r := Room{Free: free, Size: size}
	switch {
	case free < badgerdb.MinFree:
		r.Alarm = RoomLast
	case free < refuseFree:
		r.Alarm = RoomNone
	case free < max(warnFree, min(size/warnShare, warnMost)):
		r.Alarm = RoomShort
	}
	return r
}

// String describes the alarm for people; empty without one.
func (r Room) String() string {
	text := fmt.Sprintf("the ledger's disk has %s of %s free", sizeText(r.Free), sizeText(r.Size))
	switch r.Alarm {
	case RoomShort:
		return fmt.Sprintf("%s: free some space; with less than %s the node takes no transactions", text, sizeText(refuseFree))
	case RoomNone:
		return fmt.Sprintf("%s, and needs %s for transactions: free some space; with less than %s the node ends", text,
			sizeText(refuseFree), sizeText(badgerdb.MinFree))
	case RoomLast:
		return fmt.Sprintf("%s, and needs %s: free some space and start again", text, sizeText(badgerdb.MinFree))
	}
	return ""
}

func sizeText(n int64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// diskWatch measures the ledger's disk, at most once in lookRoom, and logs when the alarm changes.
type diskWatch struct {
	log *slog.Logger

	mu   sync.Mutex
	at   time.Time // of the measurement; guarded by mu, as are the next two
	room Room
	err  error
}

// look returns the room on the disk of db.
func (w *diskWatch) look(db *badgerdb.DB) (Room, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); w.at.IsZero() || now.Sub(w.at) >= lookRoom {
		free, size, err := db.Room()
		before := w.room.Alarm
		w.at, w.err = now, err
		if err == nil {
			w.room = judge(free, size)
		}
		switch {
		case w.room.Alarm > before:
			w.log.Warn(w.room.String())
		case w.room.Alarm < before:
			w.log.Info("the ledger's disk has room again", "free", sizeText(w.room.Free), "alarm", w.room.String())
		}
	}
	return w.room, w.err
}

// refuses returns why the node takes no transactions; nil if it does. A disk that cannot be measured refuses nothing:
// the next write tells.
func (w *diskWatch) refuses(db *badgerdb.DB) error {
	if room, err := w.look(db); err == nil && room.Alarm >= RoomNone {
		return fmt.Errorf("%w: %v", ErrDisk, room)
	}
	return nil
}

// spent returns the error that ends the node, if the last reserve is used up.
func (w *diskWatch) spent(db *badgerdb.DB) error {
	if room, err := w.look(db); err == nil && room.Alarm == RoomLast {
		return fmt.Errorf("%w: %w", ErrHalted, errors.New(room.String()))
	}
	return nil
}
