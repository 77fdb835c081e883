package ledger

// UnbondMonitor begins the return of a monitor's whole bond to its sender, who owns it: see Bond.Until.
type UnbondMonitor struct {
	Monitor PeerKey `json:"monitor"`
}

func (UnbondMonitor) kind() uint8 { return 19 }

func (UnbondMonitor) work(*Params) uint64 { return workBonds }

func (o *UnbondMonitor) form(f *form) { f.fixed("monitor", o.Monitor[:]) }
