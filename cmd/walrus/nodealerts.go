package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"walrus/alert"
	"walrus/config"
)

// alertApp runs the commands about the alerts of a node.
type alertApp struct{ *app }

func nodeAlertsCommand(a alertApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "alerts --home FOLDER",
		Short: "show the last alerts of a storage node",
		Long: `Show the last alerts of a node, the newest last, also while the node does not run. Its log and the ways under "alerts" in
node.yaml had them first. An alert names the sliver, the monitor that saw it, and a file of evidence in the folder
` + alert.EvidenceFolder + ` of the node's home, which walrus monitor verify judges.

  walrus node alerts --home /var/lib/walrus
  walrus node alerts --home /var/lib/walrus --json | jq '.alerts[-1]'

--json prints {"nodeId","nodeName","firing":[CAUSE…],"alerts":[{"id","state","cause","time","text","network","nodeId","nodeName","blobId",
"axis","sliver","row","column","monitor","evidence","further"}]}. The causes are missing, wrong and unreachable, the states firing and
recovered.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.show(home) },
	}
	homeFlag(c, &home)
	return c
}

// alertsReport is the JSON output of node alerts.
type alertsReport struct {
	NodeID   string        `json:"nodeId"`
	NodeName string        `json:"nodeName"`
	Firing   []alert.Cause `json:"firing"`
	Alerts   []alert.Alert `json:"alerts"`
}

// loadAlerts reads the last alerts in the home of a node.
func loadAlerts(conf *config.Node) (alertsReport, error) {
	id, err := conf.PeerID()
	if err != nil {
		return alertsReport{}, err
	}
	book, err := alert.LoadBook(conf.Home, alert.Node{ID: id.String(), Name: conf.Name})
	if err != nil {
		return alertsReport{}, err
	}
	r := alertsReport{NodeID: id.String(), NodeName: conf.Name, Firing: []alert.Cause{}, Alerts: append([]alert.Alert{}, book.Recent()...)}
	for _, c := range alert.Causes {
		if book.Firing(c) {
			r.Firing = append(r.Firing, c)
		}
	}
	return r, nil
}

func (a alertApp) show(home string) error {
	conf, err := config.LoadNode(home)
	if err != nil {
		return err
	}
	r, err := loadAlerts(conf)
	if err != nil {
		return err
	}
	if len(r.Alerts) == 0 {
		return a.result(r, "no alerts\n")
	}
	rows := [][]string{{"time", "state", "cause", "text"}}
	for _, x := range r.Alerts {
		rows = append(rows, []string{x.Time.Format(time.RFC3339), string(x.State), string(x.Cause), x.Text})
	}
	return a.resultTable(r, rows)
}

// alertsRow sums up the alerts of a node for its status.
func alertsRow(r *alertsReport) []string {
	text := "none"
	if n := len(r.Alerts); n > 0 {
		last := &r.Alerts[n-1]
		text = fmt.Sprintf("%s %s: %s", last.Time.Format(time.RFC3339), last.State, last.Text)
		if len(r.Firing) > 0 {
			text = fmt.Sprintf("%d firing; last: %s", len(r.Firing), text)
		}
	}
	return []string{"alerts", text}
}

// errTestAlert is returned by node test-alert if a way does not work.
var errTestAlert = errors.New("not all alerts were delivered")

func nodeTestAlertCommand(a alertApp) *cobra.Command {
	var home string
	c := &cobra.Command{
		Use:   "test-alert --home FOLDER",
		Short: "send a test alert by every configured way",
		Long: `Send a test alert by every way under "alerts" in node.yaml, once, and say what became of it. It is sent by this command and
not by the running node: run it as the node's user, and where the node runs. A failure names the kind of error and never the
address of a webhook. The exit code is 0 only if every way has worked.

  walrus node test-alert --home /var/lib/walrus

--json prints {"ok","ways":[{"way","ok","error","seconds"}]}. The ways are webhook, command and mail.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.test(c.Context(), home) },
	}
	homeFlag(c, &home)
	return c
}

// testAlertReport is the JSON output of node test-alert.
type testAlertReport struct {
	OK   bool             `json:"ok"`
	Ways []testAlertOfWay `json:"ways"`
}

type testAlertOfWay struct {
	Way     string  `json:"way"`
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
}

func (a alertApp) test(ctx context.Context, home string) error {
	conf, err := config.LoadNode(home)
	if err != nil {
		return err
	}
	ways, err := conf.Alerts.Compose()
	if err != nil {
		return err
	}
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		return err
	}
	id, err := conf.PeerID()
	if err != nil {
		return err
	}
	x := alert.TestAlert(alert.Node{Network: genesis.Network, ID: id.String(), Name: conf.Name}, time.Now())
	r := testAlertReport{OK: true, Ways: []testAlertOfWay{}}
	rows := [][]string{{"way", "result"}}
	for _, w := range alert.Try(ctx, ways, x) {
		one := testAlertOfWay{Way: w.Way, OK: w.Err == nil, Seconds: w.Took.Seconds()}
		text := fmt.Sprintf("delivered in %v", w.Took.Round(time.Millisecond))
		if w.Err != nil {
			one.Error, text = w.Err.Error(), "failed: "+w.Err.Error()
			r.OK = false
		}
		r.Ways = append(r.Ways, one)
		rows = append(rows, []string{w.Way, text})
	}
	if len(r.Ways) == 0 {
		return a.result(r, "no way is configured: alerts of this node go to its log only; see \"alerts\" in node.yaml\n")
	}
	if err := a.resultTable(r, rows); err != nil || r.OK {
		return err
	}
	bad := slices.DeleteFunc(r.Ways, func(w testAlertOfWay) bool { return w.OK })
	return fmt.Errorf("%w: %d of %d failed", errTestAlert, len(bad), len(rows)-1)
}
