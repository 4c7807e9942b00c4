package enlace

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ConnectionTest says what to test: an integration as it is stored, or settings
// and a credential that are not saved yet.
type ConnectionTest struct {
	Ref Ref // a stored integration; zero for what follows

	Provider   string
	Settings   map[string]string
	Credential Credential
}

// ConnectionReport is the outcome of a connection test. A step that failed is
// the last one.
type ConnectionReport struct {
	OK      bool
	Steps   []ConnectionStep
	Account ConnectionAccount // what is known of the credential afterwards
}

// ConnectionAccount is what is known of the credential that a test was made with.
// There is no secret in it. It is zero if the settings were not valid.
type ConnectionAccount struct {
	Scheme  string    // of the credential
	Expires time.Time // of the access token; zero if there is none, or if nobody tells
	Scopes  []string  // as granted; nil if the provider does not tell
	Missing []string  // what the adapter asks for and was not granted, where that is known
}

// ConnectionStep is one step of a connection test.
type ConnectionStep struct {
	Name    string        // "settings", "authentication" or "sample"
	Err     error         // nil if the step succeeded
	Skipped bool          // the adapter cannot do it
	Elapsed time.Duration // of the step
	Detail  string        // what was found, for people
}

// TestConnection tries whether an integration works or would work, cheapest step
// first: are the settings valid, does the provider accept the credential, can one record be
// read. What it finds wrong is in the report. The error is for a test that could
// not be made: ErrNotFound, ErrUnknownProvider, ErrStore, ErrCanceled.
//
// A credential that is not saved is not refreshed if that would spend its
// refresh token.
func (s *Service) TestConnection(ctx context.Context, test ConnectionTest) (ConnectionReport, error) {
	var report ConnectionReport
	var conn *Conn
	var outer error
	valid := report.step("settings", func() (string, error) {
		var err error
		if test.Ref != (Ref{}) {
			conn, err = s.Conn(ctx, test.Ref)
		} else {
			conn, err = s.tryConn(test)
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnknownProvider) || errors.Is(err, ErrStore) {
			outer = err
		}
		return "", err
	})
	if outer != nil {
		return ConnectionReport{}, outer
	}
	report.OK = valid &&
		report.step("authentication", func() (string, error) { return "", conn.checkHealth(ctx) }) &&
		report.step("sample", func() (string, error) { return conn.sample(ctx) })
	if valid {
		report.Account = conn.account()
	}
	if ctx.Err() != nil {
		return report, &Error{Provider: test.Provider, Op: "test connection", Kind: ErrCanceled, Err: ctx.Err()}
	}
	return report, nil
}

// account tells what is known of the connection's credential.
func (c *Conn) account() ConnectionAccount {
	cred := c.credential.Load()
	a := ConnectionAccount{Scheme: cred.Scheme}
	if c.scheme != nil {
		a.Scheme = c.scheme.Scheme()
	}
	if cred.Token == nil {
		return a
	}
	a.Expires, a.Scopes = cred.Token.Expiry, slices.Clone(cred.Token.Scopes)
	switch scheme := c.scheme.(type) {
	case OAuth2:
		a.Missing = missingScopes(scheme.Scopes, a.Scopes)
	case ClientCredentials:
		a.Missing = missingScopes(scheme.Scopes, a.Scopes)
	}
	return a
}

// Validate checks settings and a credential as Create would, without storing them
// and without calling the provider. With a Ref, that integration's settings and
// credential as they are stored. It returns nil if nothing is wrong. Errors:
// [*ValidationError] with every fault, ErrUnknownProvider, ErrNotFound, ErrBlocked,
// ErrNoCredential, ErrKey, ErrDisabled, ErrStore.
func (s *Service) Validate(ctx context.Context, test ConnectionTest) error {
	if test.Ref != (Ref{}) {
		_, err := s.Conn(ctx, test.Ref)
		return err
	}
	adapter, err := s.config.Registry.Lookup(test.Provider)
	if err != nil {
		return err
	}
	d := adapter.Describe()
	credential := &test.Credential
	if credential.Scheme == "" && len(credential.Secrets) == 0 {
		credential = nil
	}
	_, err = s.validate(d, Integration{Provider: d.Name, Name: d.Title, Settings: test.Settings, Enabled: true}, credential)
	return err
}

// step runs one step and says whether to go on.
func (r *ConnectionReport) step(name string, run func() (detail string, err error)) bool {
	started := time.Now()
	detail, err := run()
	step := ConnectionStep{Name: name, Elapsed: time.Since(started), Detail: detail, Err: err}
	if errors.Is(err, errNothingToDo) {
		step.Err, step.Skipped = nil, true
	}
	r.Steps = append(r.Steps, step)
	return step.Err == nil
}

// errNothingToDo is returned by a step that the adapter gives no means for.
var errNothingToDo = errors.New("nothing to do")

// tryConn opens an account from what is not saved.
func (s *Service) tryConn(test ConnectionTest) (*Conn, error) {
	adapter, err := s.config.Registry.Lookup(test.Provider)
	if err != nil {
		return nil, err
	}
	d := adapter.Describe()
	in := Integration{Provider: d.Name, Name: d.Title, Settings: test.Settings, Enabled: true}
	if in.BaseURL, err = s.validate(d, in, &test.Credential); err != nil {
		return nil, err
	}
	return s.newConn(adapter, in, test.Credential, false)
}

// checkHealth makes one cheap authenticated request, or reads one record where
// the adapter has no such request.
func (c *Conn) checkHealth(ctx context.Context) error {
	if checker, ok := As[HealthChecker](c.adapter); ok {
		if err := checker.CheckHealth(ctx, c); err != nil {
			return c.failure("check health", err)
		}
		return nil
	}
	_, err := c.sample(ctx)
	return err
}

// sample reads one record of the first entity that can be read.
func (c *Conn) sample(ctx context.Context) (string, error) {
	names := readable(c.descriptor)
	puller, ok := As[Puller](c.adapter)
	if !ok || len(names) == 0 {
		return "", errNothingToDo
	}
	page, err := puller.Pull(ctx, c, PullRequest{Entity: names[0], Limit: 1})
	if err != nil {
		return "", c.failure("pull "+names[0], err)
	}
	if len(page.Records) == 0 {
		return names[0] + ": no records", nil
	}
	return names[0] + ": can be read", nil
}
