package faultfs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// disk is the mounted file system.
type disk struct {
	mu     sync.Mutex
	faults faults // guarded by mu
	pages  int64  // in use now; guarded by mu
	most   int64  // pages there are; guarded by mu
	ops    int64  // operations so far; guarded by mu
}

// node is a file or directory that the kernel knows.
type node struct {
	fs.Inode
	disk *disk
	entry
}

// command is a request of the test to the process that serves.
type command struct {
	Faults []Fault `json:",omitempty"` // replaces the earlier faults, if Set
	Pages  int64   `json:",omitempty"` // limit in pages, if Set
	Set    bool
	Dump   string // directory to write a loss of power into; empty: none
	Seed   uint64 // 0: only what was synced is left
}

type answer struct {
	Err string `json:",omitempty"`
	Ops int64
}

const defaultPages = 1 << 20 // 4 GiB

// serve mounts at dir and answers commands until in ends.
func serve(dir string, in io.Reader, out io.Writer) error {
	d := &disk{most: defaultPages}
	root := &node{disk: d, entry: entry{dir: newListing()}}
	second := time.Second
	server, err := fs.Mount(dir, root, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, FsName: "faultfs", Name: "faultfs", DisableXAttrs: true, MaxWrite: 1 << 20,
		},
	})
	if err != nil {
		return err
	}
	enc, dec := json.NewEncoder(out), json.NewDecoder(in)
	if err := enc.Encode(answer{}); err != nil {
		return err
	}
	for {
		var c command
		if err := dec.Decode(&c); err != nil { // the test has ended
			break
		}
		var a answer
		if err := d.do(root, c, &a); err != nil {
			a.Err = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			break
		}
	}
	if server.Unmount() != nil { // a program that the disk has failed may have left files open
		return syscall.Unmount(dir, syscall.MNT_DETACH)
	}
	return nil
}

func (d *disk) do(root *node, c command, a *answer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.Ops = d.ops
	if c.Set {
		d.faults.set(c.Faults)
		d.most = defaultPages
		if c.Pages > 0 {
			d.most = c.Pages
		}
	}
	if c.Dump == "" {
		return nil
	}
	var r *rand.Rand
	if c.Seed != 0 {
		r = rand.New(rand.NewPCG(c.Seed, 0))
	}
	return root.dir.dump(c.Dump, r)
}

// begin decides about an operation and, if it may go on, returns with the disk locked.
func (n *node) begin(op Op, name string) syscall.Errno {
	path := filepath.Join("/", n.Path(nil), name)
	n.disk.mu.Lock()
	n.disk.ops++
	errno, delay := n.disk.faults.decide(op, path)
	n.disk.mu.Unlock()
	time.Sleep(delay) //nolint:forbidigo // a slow disk does not hurry when its user is told to end
	if errno != 0 {
		return errno
	}
	n.disk.mu.Lock()
	return 0
}

func (n *node) end() { n.disk.mu.Unlock() }

// fresh makes the node of a new file or directory in n.
func (n *node) fresh(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) *fs.Inode {
	made := &node{disk: n.disk}
	if mode == syscall.S_IFDIR {
		made.dir = newListing()
	} else {
		made.file = newContent()
	}
	n.dir.now[name] = made.entry
	made.attr(&out.Attr)
	return n.NewPersistentInode(ctx, made, fs.StableAttr{Mode: mode})
}

func (n *node) attr(a *fuse.Attr) {
	a.Blksize = pageSize
	if n.dir != nil {
		a.Mode = syscall.S_IFDIR | 0o700
		return
	}
	a.Mode = syscall.S_IFREG | 0o600
	a.Size = uint64(n.file.now.size)
	a.Blocks = uint64(len(n.file.now.pages)) * pageSize / 512
}

// Getattr tells the length of a file.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.attr(&out.Attr)
	return 0
}

// Setattr changes the length of a file. Modes and times are not kept.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && n.file != nil {
		if errno := n.begin(Resize, ""); errno != 0 {
			return errno
		}
		n.disk.pages -= int64(n.file.truncate(int64(size)))
		n.end()
	}
	return n.Getattr(ctx, nil, out)
}

// Statfs tells how much is free.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	free := uint64(max(0, n.disk.most-n.disk.pages))
	*out = fuse.StatfsOut{Blocks: uint64(n.disk.most), Bfree: free, Bavail: free, Bsize: pageSize,
		Frsize: pageSize, NameLen: 255}
	return 0
}

// Mkdir makes a directory.
func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.begin(DirOp, name); errno != 0 {
		return nil, errno
	}
	defer n.end()
	return n.fresh(ctx, name, syscall.S_IFDIR, out), 0
}

// Create makes a file.
func (n *node) Create(ctx context.Context, name string, _, _ uint32,
	out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.begin(DirOp, name); errno != 0 {
		return nil, nil, 0, errno
	}
	defer n.end()
	return n.fresh(ctx, name, syscall.S_IFREG, out), nil, 0, 0
}

// Open opens a file.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.begin(Open, ""); errno != 0 {
		return nil, 0, errno
	}
	defer n.end()
	if flags&syscall.O_TRUNC != 0 {
		n.disk.pages -= int64(n.file.truncate(0))
	}
	return nil, 0, 0
}

// Read reads what was written, synced or not.
func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := n.begin(Read, ""); errno != 0 {
		return nil, errno
	}
	defer n.end()
	return fuse.ReadResultData(dest[:n.file.read(dest, off)]), 0
}

// Write writes without a sync.
func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := n.begin(Write, ""); errno != 0 {
		return 0, errno
	}
	defer n.end()
	if n.disk.pages+int64(len(data))/pageSize >= n.disk.most {
		return 0, syscall.ENOSPC
	}
	n.disk.pages += int64(n.file.write(data, off))
	return uint32(len(data)), 0
}

// Flush does nothing: close is no sync.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Fsync makes a file or the entries of a directory last.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	op := Sync
	if n.dir != nil {
		op = SyncOp
	}
	if errno := n.begin(op, ""); errno != 0 {
		if n.file != nil {
			n.disk.mu.Lock()
			n.file.lose()
			n.disk.mu.Unlock()
		}
		return errno
	}
	defer n.end()
	if n.dir != nil {
		n.dir.sync()
	} else {
		n.file.sync()
	}
	return 0
}

// Unlink removes a file.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno { return n.remove(name) }

// Rmdir removes an empty directory.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	full := n.dir.now[name].dir != nil && len(n.dir.now[name].dir.now) > 0
	n.disk.mu.Unlock()
	if full {
		return syscall.ENOTEMPTY
	}
	return n.remove(name)
}

func (n *node) remove(name string) syscall.Errno {
	if errno := n.begin(DirOp, name); errno != 0 {
		return errno
	}
	defer n.end()
	if f := n.dir.now[name].file; f != nil {
		n.disk.pages -= int64(len(f.now.pages))
	}
	delete(n.dir.now, name)
	return 0
}

// Rename moves an entry, and replaces a file that has the new name.
func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string,
	flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	if errno := n.begin(DirOp, name); errno != 0 {
		return errno
	}
	defer n.end()
	to, ok := parent.EmbeddedInode().Operations().(*node)
	if !ok {
		return syscall.EXDEV
	}
	if f := to.dir.now[newName].file; f != nil && to.dir.now[newName] != n.dir.now[name] {
		n.disk.pages -= int64(len(f.now.pages))
	}
	e := n.dir.now[name]
	delete(n.dir.now, name)
	to.dir.now[newName] = e
	return 0
}

// Main serves a file system if Mount started this process for that, and then does not return. Call it first in
// TestMain.
func Main() {
	dir := os.Getenv(serveVariable)
	if dir == "" {
		return
	}
	if err := serve(dir, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1) //nolint:forbidigo // this process is only the file system
	}
	os.Exit(0) //nolint:forbidigo // the same
}
