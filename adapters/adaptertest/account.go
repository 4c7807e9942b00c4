package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/enlace-go/enlace"
)

// account checks the way in: credential, settings, health, what does not exist.
func (s *suite) account() {
	s.check("account/connection", options{}, (*process).checkConnection)
	if s.failed["account"] {
		return
	}
	s.check("account/wrong credential", options{credential: spoil}, (*process).checkWrongCredential)
	s.check("account/defaults", options{}, (*process).checkDefaults)
	s.check("account/what it lacks", options{}, (*process).checkLacking)
	s.check("account/what it claims", options{settings: map[string]string{"retryAttempts": "0"}}, (*process).checkClaims)
	s.check("account/describe after use", options{}, (*process).checkStillSame)
	if !s.can(enlace.CanCheckHealth) {
		s.skip("the health check: the adapter is no HealthChecker")
		return
	}
	s.check("health/well", options{}, (*process).checkHealthy)
	faults := []*fault{longLimit, outage500, outage503, reset, refused401, refused403, truncated, html}
	for _, r := range s.harness.Refusals {
		faults = append(faults, refusal(r))
	}
	for _, f := range faults {
		s.check("health/"+f.name, options{}, func(p *process) error {
			p.wire.plan(f.always(1))
			err := p.health(p.ctx)
			if err == nil {
				return broken(ruleHealth, "with %s for ever it returned no error", f.name)
			}
			return p.expectFailure("the health check with "+f.name, err, f)
		})
	}
	s.check("health/cancel", options{}, func(p *process) error { return p.canceled("the health check", p.health) })
	for _, f := range echoes {
		s.check("health/"+f.name, options{}, func(p *process) error {
			p.wire.plan(f.always(1))
			_ = p.health(p.ctx)
			return nil
		})
	}
}

// expectFailure checks the error of a call that met nothing but the fault.
func (p *process) expectFailure(what string, err error, f *fault) error {
	switch {
	case !matches(err, f.kinds):
		return wrongKind(what, err, f.kinds)
	case f.wait > longPause && enlace.RetryAfter(err) < f.wait-longPause:
		return broken(ruleKind, "%s: RetryAfter is %v, want %v: %v", what, enlace.RetryAfter(err), f.wait, err)
	}
	return nil
}

// checkConnection tries the account as a person who has just entered it would.
func (p *process) checkConnection() error {
	report, err := p.service.TestConnection(p.ctx, enlace.ConnectionTest{Ref: p.ref})
	if err != nil {
		return broken(ruleHarness, "the connection cannot be tested: %v", err)
	}
	for _, step := range report.Steps {
		p.journal.note(step.Err)
		if step.Err != nil {
			return broken(ruleCredential, "with the provider's credential the step %q of the connection test fails: %v", step.Name, step.Err)
		}
	}
	return nil
}

// spoil changes every secret a little: an account that does not exist.
func spoil(c enlace.Credential) enlace.Credential {
	wrong := c
	wrong.Secrets = map[string]enlace.Secret{}
	for name, s := range c.Secrets {
		wrong.Secrets[name] = spoilSecret(s)
	}
	if c.Token != nil {
		token := *c.Token
		token.Access, token.Refresh = spoilSecret(token.Access), spoilSecret(token.Refresh)
		wrong.Token = &token
	}
	return wrong
}

// spoilSecret changes the last letter; of an address the last one of its path.
func spoilSecret(s enlace.Secret) enlace.Secret {
	text := s.Reveal()
	if text == "" {
		return s
	}
	tail := ""
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		if bare, slash := strings.CutSuffix(text, "/"); slash {
			text, tail = bare, "/"
		}
	}
	last := "a"
	if strings.HasSuffix(text, "a") {
		last = "b"
	}
	return enlace.NewSecret(text[:len(text)-1] + last + tail)
}

// checkWrongCredential reads with a credential that is not the account's.
func (p *process) checkWrongCredential() error {
	for entity := range p.harness.Count {
		if !p.can(enlace.CanPull) {
			break
		}
		_, err := p.read(p.ctx, enlace.PullRequest{Entity: entity})
		if err == nil && p.wire.refused > 0 {
			return broken(ruleSwallow, "reading %s with a wrong credential returned no error, although the provider refused it", entity)
		}
		if err == nil {
			return broken(ruleHarness, "the fake lets a wrong credential in, so nothing proves that the adapter sends the right one")
		}
		if !errors.Is(err, enlace.ErrAuth) && !errors.Is(err, enlace.ErrMisconfigured) {
			return wrongKind("reading "+entity+" with a wrong credential", err, refused401.kinds)
		}
	}
	if !p.can(enlace.CanCheckHealth) {
		return nil
	}
	if err := p.health(p.ctx); !errors.Is(err, enlace.ErrAuth) && !errors.Is(err, enlace.ErrMisconfigured) {
		return broken(ruleHealth, "with a wrong credential: %v", err)
	}
	return nil
}

// checkDefaults writes each setting's default out.
func (p *process) checkDefaults() error {
	d := p.adapter.Describe()
	for _, f := range d.Settings {
		if f.Default == "" {
			continue
		}
		settings := map[string]string{f.Name: f.Default}
		for name, value := range p.provider.Settings {
			if name != f.Name {
				settings[name] = value
			}
		}
		credential := p.provider.Credential
		_, err := p.service.Create(p.ctx, enlace.NewIntegration{Tenant: "tenant", Provider: d.Name, Settings: settings, Credential: &credential})
		if err != nil {
			return broken(ruleDescriptor, "the default %q of the setting %s is not valid: %v", f.Default, f.Name, err)
		}
	}
	return nil
}

// checkStillSame looks at the description again when the adapter has worked.
func (p *process) checkStillSame() error {
	before := fmt.Sprintf("%+v", p.adapter.Describe())
	if _, err := p.service.TestConnection(p.ctx, enlace.ConnectionTest{Ref: p.ref}); err != nil {
		return broken(ruleHarness, "the connection cannot be tested: %v", err)
	}
	if after := fmt.Sprintf("%+v", p.adapter.Describe()); after != before {
		return broken(ruleDeterministic, "it changes with use:\n\t%s\n\t%s", before, after)
	}
	return nil
}

// checkLacking asks for what the descriptor does not claim.
func (p *process) checkLacking() error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	const nothing = "adaptertest_nothing"
	p.wire.plan(nil)
	expect := func(what string, err error) error {
		p.journal.note(err)
		if !errors.Is(err, enlace.ErrUnsupported) {
			return broken(ruleUnsupported, "%s: %v", what, err)
		}
		if n := p.wire.count(); n > 0 {
			return broken(ruleUnsupported, "%s sent %d requests", what, n)
		}
		return nil
	}
	if puller, ok := enlace.As[enlace.Puller](p.adapter); ok {
		_, err := puller.Pull(p.ctx, c, enlace.PullRequest{Entity: nothing})
		if err := expect("Pull of an entity that does not exist", err); err != nil {
			return err
		}
	}
	if fetcher, ok := enlace.As[enlace.Fetcher](p.adapter); ok {
		_, err := fetcher.Fetch(p.ctx, c, nothing, []string{"1"})
		if err := expect("Fetch from an entity that does not exist", err); err != nil {
			return err
		}
	}
	pusher, ok := enlace.As[enlace.Pusher](p.adapter)
	if !ok {
		return nil
	}
	entities := append(p.adapter.Describe().Entities, enlace.Entity{Name: nothing})
	for _, e := range entities {
		for _, op := range []enlace.Operation{enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete} {
			if e.Can(op) || strings.HasSuffix(e.Name, "*") {
				continue
			}
			m := enlace.Mutation{Entity: e.Name, Op: op, ID: "1", Data: map[string]string{}}
			if op == enlace.OpCreate {
				m.ID = ""
			}
			_, err := pusher.Push(p.ctx, c, m)
			if err := expect(fmt.Sprintf("Push of %s %s, which is not among its operations,", op, e.Name), err); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkClaims calls every operation that the descriptor claims, during an outage:
// it may fail in any way but by not being there.
func (p *process) checkClaims() error {
	pusher, ok := enlace.As[enlace.Pusher](p.adapter)
	if !ok {
		return nil
	}
	c, err := p.conn()
	if err != nil {
		return err
	}
	p.wire.plan(outage503.always(1))
	for _, e := range p.adapter.Describe().Entities {
		for _, op := range e.Operations {
			if op == enlace.OpRead || strings.HasSuffix(e.Name, "*") {
				continue
			}
			m := enlace.Mutation{Entity: e.Name, Op: op, ID: "1", Data: map[string]string{}}
			if op == enlace.OpCreate {
				m.ID = ""
			}
			if _, err := pusher.Push(p.ctx, c, m); errors.Is(err, enlace.ErrUnsupported) {
				return broken(ruleCapability, "%s is among the operations of %s, and Push does not know it: %v", op, e.Name, err)
			}
		}
	}
	return nil
}

func (p *process) health(ctx context.Context) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	checker, _ := enlace.As[enlace.HealthChecker](p.adapter)
	err = checker.CheckHealth(ctx, c)
	p.journal.note(err)
	return err
}

// checkHealthy checks a healthy account.
func (p *process) checkHealthy() error {
	p.wire.plan(nil)
	if err := p.timed("the health check", func() error { return p.health(p.ctx) }); err != nil {
		return broken(ruleHealth, "of a healthy account: %v", err)
	}
	if n := p.wire.count(); n != 1 {
		return broken(ruleHealth, "it took %d requests", n)
	}
	return nil
}
