package admin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ErrSignedOut is returned by an authorizer when nobody is signed in.
var ErrSignedOut = errors.New("admin: nobody is signed in")

// Access is who somebody is and what they may do.
type Access struct {
	User   string // stable id of the person, for audit and limits; required
	Name   string // shown in the page; empty is User
	Tenant string // whose integrations they see; empty where the host has one tenant
	Grants Grants
}

// Grants is a set of things that somebody may do.
type Grants uint32

// The grants. What a page does not grant it does not offer either: both read the
// same table.
const (
	GrantView        Grants = 1 << iota // see integrations, runs, health and webhooks
	GrantCreate                         // add integrations
	GrantUpdate                         // change name, settings, features and mappings
	GrantDelete                         // remove integrations
	GrantEnable                         // switch integrations on and off
	GrantConnect                        // enter credentials and authorize
	GrantTest                           // run tests that write nothing
	GrantSync                           // run, cancel, apply and undo syncs
	GrantReplay                         // replay, edit and give up webhook deliveries
	GrantFlags                          // change feature flags
	GrantViewMetrics                    // see metrics
	GrantViewLogs                       // see log lines
	GrantViewAudit                      // see and export the audit trail
	// GrantDiagnose is to see what concerns the whole installation and not one tenant: the
	// doctor, and the process's metrics for Prometheus. It counts only where Access.Tenant
	// is empty, so that a tenant's administrator never sees of others.
	GrantDiagnose
)

// Usual sets of grants.
const (
	ReadOnly      = GrantView | GrantViewMetrics | GrantViewLogs
	Operator      = ReadOnly | GrantEnable | GrantConnect | GrantTest | GrantSync | GrantReplay
	Administrator = Operator | GrantCreate | GrantUpdate | GrantDelete | GrantFlags | GrantViewAudit | GrantDiagnose
)

// Has says whether every grant of want is in g.
func (g Grants) Has(want Grants) bool { return g&want == want }

var grantNames = []string{"view", "create", "update", "delete", "enable", "connect", "test", "sync", "replay", "flags",
	"metrics.view", "logs.view", "audit.view", "diagnose"}

// String lists the names, separated by commas.
func (g Grants) String() string {
	var names []string
	for i, name := range grantNames {
		if g&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// authorize asks the host. The status is 0 if the request may go on.
func (a *Admin) authorize(r *http.Request) (Access, int) {
	if a.options.Authorize == nil {
		if a.options.Development && fromThisMachine(r) {
			return Access{User: "developer", Name: "developer", Grants: Administrator}, 0
		}
		return Access{}, http.StatusForbidden
	}
	access, err := a.options.Authorize(r)
	if access.Tenant != "" {
		access.Grants &^= GrantDiagnose
	}
	switch {
	case errors.Is(err, ErrSignedOut):
		return Access{}, http.StatusUnauthorized
	case err != nil || access.User == "" || access.Grants == 0:
		return Access{}, http.StatusForbidden
	}
	if access.Name == "" {
		access.Name = access.User
	}
	return access, 0
}

// fromThisMachine says whether a request was made on this machine, as far as that
// can be told: the peer and the name asked for are loopback ones (a page from
// elsewhere can make a browser connect here, but not with that name), and no
// proxy has passed it on.
func fromThisMachine(r *http.Request) bool {
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Via", "X-Real-Ip"} {
		if r.Header.Values(header) != nil {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && loopbackName(r.Host)
}

func loopbackName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.Unmap().IsLoopback()
}
