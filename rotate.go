package enlace

import (
	"context"
	"errors"
	"time"

	"github.com/enlace-go/enlace/internal/seal"
)

// RotateOptions say how to rotate the keys. The zero value is right for most.
type RotateOptions struct {
	// AnnounceWait is how long a new key is announced before anyone seals with
	// it. Defaults to twice the keys' CacheTime, so that every process knows it.
	AnnounceWait time.Duration
	// Batch is how many credentials are sealed anew in one commit. Defaults to 500.
	Batch int
	// PerSecond bounds how many credentials or records are sealed anew in a second. Defaults to no bound.
	PerSecond int
	// Soak is how long an old key stays disabled, and could be enabled again,
	// before a later call destroys it. Defaults to 14 days; less than 0 destroys at once.
	Soak time.Duration
	// Progress is called after each step and each commit, in the goroutine of the
	// call. Defaults to none.
	Progress func(RotateProgress)
}

// RotateStep is a step of a rotation.
type RotateStep string

// The steps, in their order.
const (
	RotateAnnounce RotateStep = "announce"
	RotatePromote  RotateStep = "promote"
	RotateSweep    RotateStep = "sweep"
	RotateVerify   RotateStep = "verify"
	RotateDisable  RotateStep = "disable"
	RotateDestroy  RotateStep = "destroy"
)

// RotateProgress is how far a rotation has come.
type RotateProgress struct {
	Step     RotateStep
	Resealed int // credentials sealed anew so far
	Records  int // other sealed records, such as deliveries, sealed anew so far
}

// RotateResult is what a rotation did.
type RotateResult struct {
	Primary  uint64 // id of the key that seals now
	Resealed int    // credentials sealed anew
	Records  int    // other sealed records sealed anew: deliveries, journal entries, last states
	// Unopened are credentials that do not open, 100 at most: their integration
	// was deleted or points at another host. They keep the old keys from being
	// disabled. Connect those integrations again, or delete the credentials.
	Unopened []CredentialKey
	// UnopenedRecords counts other records that do not open. They keep the old keys
	// from being disabled too.
	UnopenedRecords int
	Disabled        []uint64 // keys that open nothing any more
	Destroyed       []uint64 // keys that are gone for good
}

// maxUnopened bounds RotateResult.Unopened.
const maxUnopened = 100

// RotateKeys replaces the primary key while everything runs: it announces a new
// key, promotes it, seals every credential and every other sealed record anew, verifies that nothing is left
// behind, disables the old keys, and destroys those whose soak is over. It can be
// cut off at any point and called again: it goes on where it stopped. Until the
// old keys are disabled every credential opens with what is there.
//
// It needs [ManagedKeys] as Config.Keys and a credential store that is a
// [CredentialResealer]; otherwise the error is ErrUnsupported. With a [Keyring],
// see [Service.Reseal].
func (s *Service) RotateKeys(ctx context.Context, o RotateOptions) (RotateResult, error) {
	return s.auditedRotation(ctx, "keys.rotate", func() (RotateResult, error) { return s.safe.Rotate(ctx, s.hostOf, o) })
}

// Reseal seals every credential anew that was sealed by another key than the
// primary one, and verifies that nothing is left behind. With a [Keyring] it is
// what lets a retiring key be dropped: when Unopened is empty. Errors: as RotateKeys.
func (s *Service) Reseal(ctx context.Context, o RotateOptions) (RotateResult, error) {
	return s.auditedRotation(ctx, "keys.reseal", func() (RotateResult, error) { return s.safe.Reseal(ctx, s.hostOf, o) })
}

// auditedRotation announces a rotation, which is many transactions, and tells its
// end. It concerns all tenants and stands in the chain of the empty one.
func (s *Service) auditedRotation(ctx context.Context, action string, rotate func() (RotateResult, error)) (RotateResult, error) {
	entry := AuditEntry{Action: action}
	if err := s.announce(ctx, entry); err != nil {
		return RotateResult{}, err
	}
	result, err := rotate()
	if err != nil {
		s.auditFailure(ctx, entry, err)
		return result, err
	}
	entry.Result, entry.Target = AuditDone, keyName(result.Primary)
	return result, s.RecordAudit(ctx, entry)
}

// hostOf tells which host a credential is bound to.
func (s *Service) hostOf(ctx context.Context, key CredentialKey) (string, error) {
	if key.Name == webhookName {
		return webhookPlace(key.Ref).Host, nil
	}
	in, err := s.Get(ctx, key.Ref)
	return place(in).Host, err
}

// Rotate is [Service.RotateKeys] for a safe that is used without a service.
// hostOf tells which host a credential is bound to, or ErrNotFound.
func (s *Safe) Rotate(ctx context.Context, hostOf func(context.Context, CredentialKey) (string, error), o RotateOptions) (RotateResult, error) {
	keys, ok := s.keys.(*ManagedKeys)
	if !ok {
		return RotateResult{}, &Error{Op: "rotate keys", Kind: ErrUnsupported, Message: "Config.Keys is not ManagedKeys; see Service.Reseal"}
	}
	o = o.withDefaults(keys.keep)
	if err := promoteNew(ctx, keys, o); err != nil {
		return RotateResult{}, err
	}
	result, err := s.Reseal(ctx, hostOf, o)
	if err != nil || len(result.Unopened) > 0 || result.UnopenedRecords > 0 {
		return result, err
	}
	return result, retire(ctx, keys, o, &result)
}

// Reseal is [Service.Reseal] for a safe that is used without a service.
func (s *Safe) Reseal(ctx context.Context, hostOf func(context.Context, CredentialKey) (string, error), o RotateOptions) (RotateResult, error) {
	store, ok := s.store.(CredentialResealer)
	if !ok {
		return RotateResult{}, &Error{Op: "reseal", Kind: ErrUnsupported, Message: "the credential store is no CredentialResealer"}
	}
	primary, err := s.keys.Primary(ctx)
	if err != nil {
		return RotateResult{}, err
	}
	sweep := &sweep{safe: s, store: store, hostOf: hostOf, options: o.withDefaults(0), primary: primary,
		result: RotateResult{Primary: primary.ID()}}
	// What a lease or a write kept from being sealed anew is sealed by the primary
	// key when that is over, or is found by the next pass.
	const passes = 5
	sealedBy := primary.ID()
	for range passes {
		if err := sweep.pass(ctx, sealedBy); err != nil {
			return sweep.result, err
		}
		left, err := sweep.verify(ctx)
		if err == nil {
			err = sweep.records(ctx)
		}
		if err != nil || left == 0 {
			return sweep.result, err
		}
		sealedBy = nobody // the ids beside the values cannot be trusted; look at all of them
		if err := pause(ctx, time.Second); err != nil {
			return sweep.result, err
		}
	}
	return sweep.result, &Error{Op: "reseal", Kind: ErrConflict, Message: "credentials are being changed all the time; call it again"}
}

func (o RotateOptions) withDefaults(cache time.Duration) RotateOptions {
	if o.AnnounceWait <= 0 {
		o.AnnounceWait = 2 * cache
	}
	if o.Batch <= 0 {
		o.Batch = 500
	}
	if o.Soak == 0 {
		o.Soak = 14 * 24 * time.Hour
	}
	if o.Progress == nil {
		o.Progress = func(RotateProgress) {}
	}
	return o
}

// promoteNew makes a new key the primary one, unless an unfinished rotation has
// already done so.
func promoteNew(ctx context.Context, keys *ManagedKeys, o RotateOptions) error {
	if _, err := keys.Primary(ctx); err != nil { // makes the first one
		return err
	}
	infos, err := keys.Keys(ctx)
	if err != nil {
		return err
	}
	var next KeyInfo
	unfinished := false
	for _, k := range infos {
		unfinished = unfinished || k.State == KeyRetiring
		if k.State == KeyAnnounced {
			next = k
		}
	}
	if next.ID == 0 && unfinished {
		return nil
	}
	if next.ID == 0 {
		if next, err = keys.Announce(ctx); err != nil {
			return err
		}
	}
	o.Progress(RotateProgress{Step: RotateAnnounce})
	if err := pause(ctx, time.Until(next.Changed.Add(o.AnnounceWait))); err != nil {
		return err
	}
	if err := keys.Promote(ctx, next.ID); err != nil {
		return err
	}
	o.Progress(RotateProgress{Step: RotatePromote})
	return nil
}

// retire disables the keys that nothing is sealed with any more, and destroys
// those whose soak is over.
func retire(ctx context.Context, keys *ManagedKeys, o RotateOptions, result *RotateResult) error {
	infos, err := keys.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range infos {
		if k.State == KeyRetiring {
			if err := keys.Disable(ctx, k.ID); err != nil {
				return err
			}
			result.Disabled = append(result.Disabled, k.ID)
			o.Progress(RotateProgress{Step: RotateDisable, Resealed: result.Resealed})
			k.State, k.Changed = KeyDisabled, time.Now()
		}
		if k.State == KeyDisabled && (o.Soak < 0 || time.Since(k.Changed) >= o.Soak) {
			if err := keys.Destroy(ctx, k.ID); err != nil {
				return err
			}
			result.Destroyed = append(result.Destroyed, k.ID)
			o.Progress(RotateProgress{Step: RotateDestroy, Resealed: result.Resealed})
		}
	}
	return nil
}

// sweep seals anew what another key than the primary one has sealed.
type sweep struct {
	safe    *Safe
	store   CredentialResealer
	hostOf  func(context.Context, CredentialKey) (string, error)
	options RotateOptions
	primary Key
	result  RotateResult
}

// nobody is the id of no key: everything is sealed by another one.
const nobody = 0

// pass goes once through everything that another key than the given one is said
// to have sealed, and seals anew what the primary key has not.
func (w *sweep) pass(ctx context.Context, sealedBy uint64) error {
	w.result.Unopened = nil
	var after CredentialKey
	for {
		started := time.Now()
		values, err := w.store.CredentialsNotSealedBy(ctx, sealedBy, after, w.options.Batch)
		if err != nil {
			return wrap("list credentials", ErrStore, err)
		}
		if len(values) == 0 {
			return nil
		}
		after = values[len(values)-1].CredentialKey
		anew := make([]StoredCredential, 0, len(values))
		for _, v := range values {
			if w.current(v) && v.KeyID == w.primary.ID() {
				continue
			}
			if err := w.reseal(ctx, &v); err == nil {
				anew = append(anew, v)
			} else if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrKey) || errors.Is(err, ErrKeyUnavailable) {
				return err
			} else if len(w.result.Unopened) < maxUnopened {
				w.result.Unopened = append(w.result.Unopened, v.CredentialKey)
			}
		}
		n, err := w.store.ResealCredentials(ctx, anew)
		if err != nil {
			return wrap("reseal credentials", ErrStore, err)
		}
		w.result.Resealed += n
		w.options.Progress(RotateProgress{Step: RotateSweep, Resealed: w.result.Resealed})
		if err := w.pace(ctx, len(values), started); err != nil {
			return err
		}
	}
}

// records seals anew what is sealed beside the credentials, until nothing of
// another key is left. A walk may miss what is written behind it.
func (w *sweep) records(ctx context.Context) error {
	if w.safe.records == nil {
		return nil
	}
	for {
		before := w.result.Records
		w.result.UnopenedRecords = 0
		if err := w.recordPass(ctx); err != nil || w.result.Records == before {
			return err
		}
	}
}

func (w *sweep) recordPass(ctx context.Context) error {
	for after := ""; ; {
		started := time.Now()
		values, err := w.safe.records.RecordsNotSealedBy(ctx, w.primary.ID(), after, w.options.Batch)
		if err != nil {
			return wrap("list sealed records", ErrStore, err)
		}
		if len(values) == 0 {
			return nil
		}
		after = values[len(values)-1].Position
		var old, anew []StoredRecord
		for _, v := range values {
			plain, err := w.safe.OpenRecord(ctx, v.Place, v.Data)
			if errors.Is(err, ErrKeyUnavailable) {
				return err
			}
			if err != nil {
				w.result.UnopenedRecords++
				continue
			}
			next := v
			next.Data, err = seal.Seal(w.primary.key, seal.PurposeRecord, v.Place.context(), plain)
			if err != nil {
				return err
			}
			next.KeyID = w.primary.ID()
			old, anew = append(old, v), append(anew, next)
		}
		n, err := w.safe.records.ResealRecords(ctx, old, anew)
		if err != nil {
			return wrap("reseal records", ErrStore, err)
		}
		w.result.Records += n
		w.options.Progress(RotateProgress{Step: RotateSweep, Resealed: w.result.Resealed, Records: w.result.Records})
		if err := w.pace(ctx, len(values), started); err != nil {
			return err
		}
	}
}

// pace waits until so many values are allowed since started.
func (w *sweep) pace(ctx context.Context, values int, started time.Time) error {
	if w.options.PerSecond <= 0 {
		return nil
	}
	due := time.Duration(values) * time.Second / time.Duration(w.options.PerSecond)
	return pause(ctx, due-time.Since(started))
}

// current says whether the primary key has sealed the value, by its own header.
func (w *sweep) current(v StoredCredential) bool {
	id, err := seal.KeyIDOf(v.Data)
	return err == nil && uint64(id) == w.primary.ID()
}

// reseal opens a value and seals it with the primary key.
func (w *sweep) reseal(ctx context.Context, v *StoredCredential) error {
	host, err := w.hostOf(ctx, v.CredentialKey)
	if err != nil {
		return err
	}
	place := Place{CredentialKey: v.CredentialKey, Host: host}
	plain, err := openSealed(ctx, w.safe.keys, seal.PurposeCredential, place.context(), v.Data)
	if err != nil {
		return wrapKey("open credential", err)
	}
	defer clear(plain)
	v.Data, err = seal.Seal(w.primary.key, seal.PurposeCredential, place.context(), plain)
	v.KeyID = w.primary.ID()
	return err
}

// verify reads the header of every stored value, since the id beside it is a hint
// only, and counts those that could be sealed anew and are not.
func (w *sweep) verify(ctx context.Context) (left int, err error) {
	unopened := map[CredentialKey]bool{}
	for _, key := range w.result.Unopened {
		unopened[key] = true
	}
	var after CredentialKey
	for {
		values, err := w.store.CredentialsNotSealedBy(ctx, nobody, after, w.options.Batch)
		if err != nil {
			return 0, wrap("list credentials", ErrStore, err)
		}
		if len(values) == 0 {
			break
		}
		after = values[len(values)-1].CredentialKey
		for _, v := range values {
			if !w.current(v) && !unopened[v.CredentialKey] {
				left++
			}
		}
	}
	if len(w.result.Unopened) == maxUnopened {
		left = 0 // more than were noted; Unopened says that the work is not done
	}
	w.options.Progress(RotateProgress{Step: RotateVerify, Resealed: w.result.Resealed})
	return left, nil
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &Error{Op: "wait", Kind: ErrCanceled, Err: ctx.Err()}
	}
}
