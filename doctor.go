package enlace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Finding is one thing that Doctor looked at.
type Finding struct {
	Check  string       `json:"check"`  // "configuration", "store", "clock", "keys", "credentials", "background", "integrations", "audit", "flags"
	Status HealthStatus `json:"status"` // healthy, warning or error
	Detail string       `json:"detail"` // what was found, in words
	Fix    string       `json:"fix,omitempty"`
}

// Diagnosis is what Doctor found, worst first.
type Diagnosis struct {
	Status   HealthStatus `json:"status"` // the worst of all
	Findings []Finding    `json:"findings"`
}

// SchemaStore is implemented by stores that have a schema. Without it Doctor does
// not look at one.
type SchemaStore interface {
	// SchemaVersion returns the version that the store has and the one that this
	// program brings.
	SchemaVersion(ctx context.Context) (have, want int64, err error)
}

const (
	clockTolerance = 5 * time.Second // between this process and the store
	doctorEntries  = 50_000          // of an audit log, beyond which Doctor does not verify it
)

// Doctor looks at everything that enlace depends on and says what to fix:
// configuration, store, clocks, keys, background work, integrations, the audit log
// and flags. It calls no provider and changes nothing but a lease of its own. What
// is wrong is in the diagnosis; the error is for ctx that has ended.
func (s *Service) Doctor(ctx context.Context) (Diagnosis, error) {
	d := doctor{service: s}
	d.configuration()
	if d.store(ctx) {
		d.schema(ctx)
		d.keys(ctx)
		d.background(ctx)
		d.integrations(ctx)
		d.audit(ctx)
		d.flags(ctx)
	}
	if ctx.Err() != nil {
		return Diagnosis{}, &Error{Op: "doctor", Kind: ErrCanceled, Err: ctx.Err()}
	}
	return d.diagnosis(), nil
}

type doctor struct {
	service  *Service
	findings []Finding
}

func (d *doctor) find(check string, status HealthStatus, detail, fix string) {
	d.findings = append(d.findings, Finding{Check: check, Status: status, Detail: detail, Fix: fix})
}

func (d *doctor) diagnosis() Diagnosis {
	slices.SortStableFunc(d.findings, func(a, b Finding) int { return severity(b.Status) - severity(a.Status) })
	return Diagnosis{Status: d.findings[0].Status, Findings: d.findings}
}

func (d *doctor) configuration() {
	c := d.service.config
	fine := true
	warn := func(detail, fix string) {
		fine = false
		d.find("configuration", HealthWarning, detail, fix)
	}
	adapters := map[string]Descriptor{}
	for name, a := range c.Registry.All() {
		adapters[name] = a.Describe()
	}
	if len(adapters) == 0 {
		warn("no adapter is registered", "give NewRegistry the adapters of your providers")
	}
	for _, name := range slices.Sorted(maps.Keys(c.OAuth)) {
		if _, ok := adapters[name]; !ok {
			warn("Config.OAuth has an app for "+name+", for which no adapter is registered", "register the adapter, or correct the name")
		}
	}
	if c.Transport != nil {
		warn("Config.Transport is set: addresses are not checked before they are called", "leave it out in production, unless your transport checks them itself")
	}
	for _, p := range c.Egress.AllowPrefixes {
		if p.Bits() == 0 {
			warn("Config.Egress allows every address", "name the networks that you need")
		}
	}
	if c.Logger == nil {
		warn("Config.Logger is not set: nobody hears of trouble in the background, and heads of the audit log are kept nowhere else", "set a logger whose lines are kept")
	}
	if c.HealthInterval < 0 {
		warn("health checks are switched off", "leave Config.HealthInterval out, or set it")
	}
	if fine {
		d.find("configuration", HealthHealthy, fmt.Sprintf("%d adapters are registered", len(adapters)), "")
	}
}

// store tries the store with a lease of its own, which also tells its clock. It says
// whether it is worth going on.
func (d *doctor) store(ctx context.Context) bool {
	const life = time.Minute
	store := d.service.store
	began := time.Now()
	lease, err := store.AcquireLease(ctx, LeaseName{Name: "doctor " + rand.Text()}, rand.Text(), life)
	took := time.Since(began)
	if err != nil {
		d.find("store", HealthError, "the store cannot be written: "+err.Error(), "check that it is reachable, that its disk is not full and that the role may write")
		return false
	}
	_ = store.ReleaseLease(ctx, lease) // else it runs out
	if took > 500*time.Millisecond {
		d.find("store", HealthWarning, "a write takes "+took.Round(time.Millisecond).String(), "look for long transactions, a slow disk or a far away database")
	} else {
		d.find("store", HealthHealthy, "a write takes "+took.Round(time.Millisecond).String(), "")
	}
	off := lease.Until.Add(-life).Sub(began.Add(took / 2))
	if off.Abs() > clockTolerance+took {
		d.find("clock", HealthError, "this process's clock differs from the store's by "+off.Round(time.Millisecond).String(), "synchronize both clocks (NTP): tokens, signatures and leases depend on them")
	} else {
		d.find("clock", HealthHealthy, "this process's clock and the store's agree within "+(off.Abs()+took).Round(time.Millisecond).String(), "")
	}
	return true
}

func (d *doctor) schema(ctx context.Context) {
	store, ok := d.service.store.(SchemaStore)
	if !ok {
		return
	}
	have, want, err := store.SchemaVersion(ctx)
	switch {
	case err != nil:
		d.find("store", HealthError, "the schema's version cannot be read: "+err.Error(), "check the role's rights")
	case have < want:
		d.find("store", HealthError, fmt.Sprintf("the schema has version %d and this program needs %d", have, want), "apply the migrations")
	case have > want:
		d.find("store", HealthWarning, fmt.Sprintf("the schema has version %d, newer than this program's %d", have, want), "bring every process to the newest version")
	default:
		d.find("store", HealthHealthy, fmt.Sprintf("the schema has version %d", have), "")
	}
}

func (d *doctor) keys(ctx context.Context) {
	primary, err := d.service.config.Keys.Primary(ctx)
	if err != nil {
		d.find("keys", HealthError, "there is no key to seal with: "+err.Error(), "check Config.Keys; nothing can be connected without one")
		return
	}
	d.find("keys", HealthHealthy, "the primary key is "+keyName(primary.ID()), "")
	store, ok := d.service.safe.store.(CredentialResealer)
	if !ok {
		return
	}
	var after CredentialKey
	unknown, old := map[uint64]int{}, 0
	for {
		values, err := store.CredentialsNotSealedBy(ctx, primary.ID(), after, 1000)
		if err != nil {
			d.find("credentials", HealthError, "credentials cannot be listed: "+err.Error(), "check the store")
			return
		}
		for _, v := range values {
			after = v.CredentialKey
			if _, err := d.service.config.Keys.Key(ctx, v.KeyID); err != nil && !errors.Is(err, ErrKeyUnavailable) {
				unknown[v.KeyID]++
			} else {
				old++
			}
		}
		if len(values) < 1000 {
			break
		}
	}
	for _, id := range slices.Sorted(maps.Keys(unknown)) {
		d.find("credentials", HealthError, fmt.Sprintf("%d credentials are sealed by key %s, which is not there", unknown[id], keyName(id)), "add that key to Config.Keys, or connect those integrations again")
	}
	if old > 0 {
		d.find("credentials", HealthWarning, fmt.Sprintf("%d credentials are sealed by an older key", old), "call Service.Reseal, or RotateKeys to its end, before the old key is given up")
	}
	if old == 0 && len(unknown) == 0 {
		d.find("credentials", HealthHealthy, "every credential is sealed by the primary key", "")
	}
}

// background finds out whether some process runs Service.Run, by the lease of its
// health checks.
func (d *doctor) background(ctx context.Context) {
	if d.service.config.HealthInterval < 0 {
		return
	}
	lease, err := d.service.store.AcquireLease(ctx, LeaseName{Name: "health"}, rand.Text(), time.Millisecond)
	switch {
	case errors.Is(err, ErrConflict):
		d.find("background", HealthHealthy, "Service.Run is at work", "")
	case err != nil:
		d.find("background", HealthError, "leases cannot be taken: "+err.Error(), "check the store")
	default:
		_ = d.service.store.ReleaseLease(ctx, lease) // else it runs out
		d.find("background", HealthWarning, "no process runs Service.Run: nothing is checked, retried, scheduled or rolled up", "call Service.Run in at least one process; just after a start it may take some seconds")
	}
}

func (d *doctor) integrations(ctx context.Context) {
	var after Ref
	total := 0
	unknown, statuses := map[string]int{}, map[Status]int{}
	for {
		list, err := d.service.store.EveryIntegration(ctx, after, 1000)
		if err != nil {
			d.find("integrations", HealthError, "integrations cannot be listed: "+err.Error(), "check the store")
			return
		}
		for _, in := range list {
			after = in.Ref
			total++
			if _, err := d.service.config.Registry.Lookup(in.Provider); err != nil {
				unknown[in.Provider]++
			}
			if in.Enabled {
				statuses[in.Status]++
			}
		}
		if len(list) < 1000 {
			break
		}
	}
	fine := true
	warn := func(status HealthStatus, detail, fix string) {
		fine = false
		d.find("integrations", status, detail, fix)
	}
	for _, provider := range slices.Sorted(maps.Keys(unknown)) {
		warn(HealthError, fmt.Sprintf("%d integrations belong to %s, for which no adapter is registered", unknown[provider], provider), "register the adapter, or delete the integrations")
	}
	if n := statuses[StatusNeedsReauth]; n > 0 {
		warn(HealthWarning, fmt.Sprintf("%d integrations must be connected again", n), "send their owners to the connect page")
	}
	if n := statuses[StatusMisconfigured]; n > 0 {
		warn(HealthError, fmt.Sprintf("%d integrations belong to an app that the provider does not know", n), "check Config.OAuth: client ids and secrets")
	}
	if n := statuses[StatusInDoubt]; n > 0 {
		warn(HealthWarning, fmt.Sprintf("the answer to a refresh was lost for %d integrations", n), "wait for the next use; it tells")
	}
	if fine {
		d.find("integrations", HealthHealthy, fmt.Sprintf("%d integrations, each with an adapter", total), "")
	}
}

// audit verifies every chain that is not too long for it.
func (d *doctor) audit(ctx context.Context) {
	cursor, chains, long := "", 0, 0
	for {
		heads, next, err := d.service.store.AuditHeads(ctx, cursor, 1000)
		if err != nil {
			d.find("audit", HealthError, "the audit log cannot be read: "+err.Error(), "check the store; no change is possible without it")
			return
		}
		for _, h := range heads {
			if h.Seq > doctorEntries {
				long++
				continue
			}
			report, err := d.service.VerifyAudit(ctx, h.Tenant)
			if err != nil {
				d.find("audit", HealthError, "the audit log cannot be read: "+err.Error(), "check the store")
				return
			}
			chains++
			if !report.OK {
				d.find("audit", HealthError, fmt.Sprintf("entry %d of tenant %q: %s", report.Bad, h.Tenant, report.Reason), "somebody changed the log: compare with a backup and with the exported heads")
			}
		}
		if cursor = next; next == "" {
			break
		}
	}
	d.find("audit", HealthHealthy, fmt.Sprintf("%d logs were verified; %d are longer than %d entries, see VerifyAudit", chains, long, doctorEntries), "")
}

func (d *doctor) flags(ctx context.Context) {
	rules, err := d.service.store.FlagRules(ctx)
	if err != nil {
		d.find("flags", HealthError, "flags cannot be read: "+err.Error(), "check the store")
		return
	}
	off := 0
	for _, r := range rules {
		if !r.Enabled {
			off++
			d.find("flags", HealthWarning, fmt.Sprintf("%s is off for %+v since %s: %s", r.Flag, r.Target, r.UpdatedAt.Format(time.RFC3339), r.Reason), "Service.ClearFlag, when the reason is gone")
		}
	}
	if off == 0 {
		d.find("flags", HealthHealthy, "no flag is switched off at run time", "")
	}
}
