package enlace_test

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// flakyStore fails where fail says so. It is asked with the name of the method,
// before the store is; "UpdateCredential after fn" is the save of what fn returned.
type flakyStore struct {
	enlace.Store
	fail func(ctx context.Context, op string) error
}

func (s flakyStore) Transact(ctx context.Context, fn func(context.Context) error) error {
	if err := s.fail(ctx, "Transact"); err != nil {
		return err
	}
	return s.Store.Transact(ctx, fn)
}

func (s flakyStore) AcquireLease(ctx context.Context, name enlace.LeaseName, owner string, ttl time.Duration) (enlace.Lease, error) {
	if err := s.fail(ctx, "AcquireLease"); err != nil {
		return enlace.Lease{}, err
	}
	return s.Store.AcquireLease(ctx, name, owner, ttl)
}

func (s flakyStore) AppendAudit(ctx context.Context, e enlace.AuditEntry) error {
	if err := s.fail(ctx, "AppendAudit"); err != nil {
		return err
	}
	return s.Store.AppendAudit(ctx, e)
}

func (s flakyStore) CreateIntegration(ctx context.Context, in enlace.Integration) error {
	if err := s.fail(ctx, "CreateIntegration"); err != nil {
		return err
	}
	return s.Store.CreateIntegration(ctx, in)
}

func (s flakyStore) Integration(ctx context.Context, ref enlace.Ref) (enlace.Integration, error) {
	if err := s.fail(ctx, "Integration"); err != nil {
		return enlace.Integration{}, err
	}
	return s.Store.Integration(ctx, ref)
}

func (s flakyStore) Integrations(ctx context.Context, q enlace.IntegrationQuery) ([]enlace.Integration, string, error) {
	if err := s.fail(ctx, "Integrations"); err != nil {
		return nil, "", err
	}
	return s.Store.Integrations(ctx, q)
}

func (s flakyStore) UpdateIntegration(ctx context.Context, in enlace.Integration) error {
	if err := s.fail(ctx, "UpdateIntegration"); err != nil {
		return err
	}
	return s.Store.UpdateIntegration(ctx, in)
}

func (s flakyStore) DeleteIntegration(ctx context.Context, ref enlace.Ref, version int64) error {
	if err := s.fail(ctx, "DeleteIntegration"); err != nil {
		return err
	}
	return s.Store.DeleteIntegration(ctx, ref, version)
}

func (s flakyStore) LoadCredential(ctx context.Context, key enlace.CredentialKey) (enlace.Sealed, error) {
	if err := s.fail(ctx, "LoadCredential"); err != nil {
		return enlace.Sealed{}, err
	}
	return s.Store.LoadCredential(ctx, key)
}

func (s flakyStore) UpdateCredential(ctx context.Context, key enlace.CredentialKey,
	fn func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error)) error {
	if err := s.fail(ctx, "UpdateCredential"); err != nil {
		return err
	}
	return s.Store.UpdateCredential(ctx, key, func(ctx context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		next, err := fn(ctx, cur, interrupted)
		if err == nil && next != nil {
			err = s.fail(ctx, "UpdateCredential after fn")
		}
		return next, err
	})
}

func (s flakyStore) DeleteCredential(ctx context.Context, key enlace.CredentialKey) error {
	if err := s.fail(ctx, "DeleteCredential"); err != nil {
		return err
	}
	return s.Store.DeleteCredential(ctx, key)
}

func (s flakyStore) LoadCheckpoint(ctx context.Context, ref enlace.Ref, entity string) (enlace.Checkpoint, error) {
	if err := s.fail(ctx, "LoadCheckpoint"); err != nil {
		return enlace.Checkpoint{}, err
	}
	return s.Store.LoadCheckpoint(ctx, ref, entity)
}

func (s flakyStore) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	if err := s.fail(ctx, "SaveCheckpoint"); err != nil {
		return err
	}
	return s.Store.SaveCheckpoint(ctx, ref, entity, cp)
}

func (s flakyStore) DeleteCheckpoints(ctx context.Context, ref enlace.Ref) error {
	if err := s.fail(ctx, "DeleteCheckpoints"); err != nil {
		return err
	}
	return s.Store.DeleteCheckpoints(ctx, ref)
}

func (s flakyStore) SaveRun(ctx context.Context, run enlace.Run) error {
	if err := s.fail(ctx, "SaveRun"); err != nil {
		return err
	}
	return s.Store.SaveRun(ctx, run)
}

func (s flakyStore) Run(ctx context.Context, tenant, id string) (enlace.Run, error) {
	if err := s.fail(ctx, "Run"); err != nil {
		return enlace.Run{}, err
	}
	return s.Store.Run(ctx, tenant, id)
}

func (s flakyStore) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	if err := s.fail(ctx, "Runs"); err != nil {
		return nil, "", err
	}
	return s.Store.Runs(ctx, q)
}

// failing makes the service's store fail where fail says so.
func failing(fail func(ctx context.Context, op string) error) func(*enlace.Config) {
	return func(c *enlace.Config) { c.Store = flakyStore{c.Store, fail} }
}
