package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/config"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/quilt"
	"walrus/shards"
)

// pinApp runs the commands about pins.
type pinApp struct{ *app }

func pinCommand(app *app) *cobra.Command {
	a := pinApp{app}
	c := group(&cobra.Command{
		Use:   "pin",
		Short: "keep whole copies of blobs, and serve them to others",
		Long: `A pin keeps a whole copy of a blob on your disk, for as long as you want: also after its paid storage has ended. Pins cost
no WAL, and you need no permission. A pin process fetches the blobs, checks every byte, tells the network that they are
here, and serves them to readers, from behind a home router, too. docs/pins.md says what a pin promises.

Pins live in a folder, their home: --home FOLDER, else $WALRUS_PIN_HOME, else ~/.local/share/walrus/pins. The commands talk
to the pin process of that home. When none is running, they work on the records themselves, and what is to be fetched waits.

A PIN in a command is the ID of a request, a blob ID, or a CID.`,
		Example: "  walrus pin run --home /srv/pins --limit 500GiB &\n  walrus pin add BLOB_ID --name holiday.mp4 --home /srv/pins\n  walrus pin ls --home /srv/pins",
	})
	c.AddCommand(pinRunCommand(a), pinAddCommand(a), pinFollowCommand(a), pinListCommand(a), pinStatusCommand(a),
		pinRemoveCommand(a), pinVerifyCommand(a),
		pinExportCommand(a), pinImportCommand(a), pinRescueCommand(a), pinTokenCommand(a))
	return c
}

// envPinHome names the home of pins.
const envPinHome = "WALRUS_PIN_HOME"

// pinHomeFlag adds the flag --home, which has a default.
func pinHomeFlag(c *cobra.Command, home *string) {
	c.Flags().StringVar(home, "home", "", "home `FOLDER` of the pins (default: $"+envPinHome+", else ~/.local/share/walrus/pins)")
}

// pinHome returns the absolute path of the pins' home.
func (a pinApp) pinHome(flag string) (string, error) {
	return dataHome(a.env, flag, envPinHome, "pins")
}

// noPin is an error that counts as pin.ErrNotFound and has words of its own.
type noPin string

func (e noPin) Error() string      { return string(e) }
func (noPin) Is(target error) bool { return target == pin.ErrNotFound }

// errNoPins: nobody has pinned anything in a home.
const errNoPins = noPin("the folder has no pins")

// pinsOf are the pins of one home: in the process that keeps them, or opened here.
type pinsOf struct {
	pinapi.Pins
	pinapi.Copies
	home   string
	remote *pinapi.Client // nil if they are opened here
	close  func() error
}

// pinStore says how pins may be opened without their process.
type pinStore struct {
	create bool  // also where there are none yet
	limit  int64 // bytes of disk; 0: none
}

// openPins finds the pin process of a home, or opens its store.
func (a pinApp) openPins(ctx context.Context, flag string, s pinStore) (*pinsOf, error) {
	home, err := a.pinHome(flag)
	if err != nil {
		return nil, err
	}
	c, err := pinapi.Dial(ctx, home)
	if err == nil {
		return &pinsOf{Pins: c, Copies: c, home: home, remote: c, close: c.Close}, nil
	}
	if !errors.Is(err, pinapi.ErrNotRunning) {
		return nil, err
	}
	if _, err := os.Stat(compose.PinDir(home)); errors.Is(err, fs.ErrNotExist) && !s.create {
		return nil, fmt.Errorf("look for pins in %s: %w: give --home FOLDER, or make the first pin with walrus pin add", home, errNoPins)
	}
	conf, err := a.loadClient()
	if err != nil {
		return nil, err
	}
	level := conf.Log
	log, err := a.logger(level)
	if err != nil {
		return nil, err
	}
	k, err := compose.OpenPinStore(conf, home, s.limit, log)
	if err != nil {
		return nil, err
	}
	return &pinsOf{Pins: k, Copies: k, home: home, close: k.Close}, nil
}

// end closes the pins and adds its error to err.
func (p *pinsOf) end(err *error) { *err = errors.Join(*err, p.close()) }

// parseBlob reads a blob ID, the CID of a blob, or the ID of a patch, which means its quilt.
func parseBlob(arg string) (shards.BlobID, error) {
	text := trimID(arg)
	if id, err := pin.ParseCID(text); err == nil {
		return id, nil
	}
	if p, err := quilt.ParsePatchID(text); err == nil {
		return p.Quilt, nil
	}
	_, err := pin.ParseCID(text)
	return shards.BlobID{}, &usageError{err}
}

// find returns the requests that an argument names: one by its ID, or all of a blob. Without any it returns
// pin.ErrNotFound.
func (p *pinsOf) find(arg string) ([]pin.Request, error) {
	text := trimID(arg)
	if _, err := pin.ParseCID(text); err != nil {
		r, err := p.Request(text)
		if err != nil {
			return nil, err
		}
		return []pin.Request{r}, nil
	}
	return p.all(pin.Filter{CIDs: []string{text}})
}

// all lists every request that f selects, the newest first. Without any it returns pin.ErrNotFound if f names CIDs.
func (p *pinsOf) all(f pin.Filter) (list []pin.Request, err error) {
	f.Limit = pin.MaxPage
	for {
		page, total, err := p.List(f)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if len(page) == total || len(page) == 0 {
			break
		}
		f.Before = page[len(page)-1].Created
	}
	if len(list) == 0 && len(f.CIDs) > 0 {
		return nil, fmt.Errorf("%s: %w", f.CIDs[0], pin.ErrNotFound)
	}
	return list, nil
}

// limitFlag adds the flag --limit.
func limitFlag(c *cobra.Command, text *string) {
	c.Flags().StringVar(text, "limit", "", "keep all pins below `SIZE` of disk, such as 500GiB (default: no limit)")
}

// sizeFlag reads the value of a flag that is a size; "" is 0.
func sizeFlag(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := config.ParseSize(text)
	if err != nil {
		return 0, usagef("--%s: %w", name, err)
	}
	return n, nil
}
