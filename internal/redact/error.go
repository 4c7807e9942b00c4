package redact

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// anyURL finds whole URLs: the path may be the secret, so no part is kept.
var anyURL = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*` + colon + slash + `{2}[^\s"'<>]*`)

// Error returns err without a URL in its text. See [Redactor.Error], which
// removes known secrets too.
func Error(err error, host string) error {
	return (*Redactor)(nil).Error(err, host)
}

// Error returns err with a text that holds no URL, no secret of r and nothing
// that [Text] masks; host, which may be empty, says instead where the request
// went. Use it on every error of an HTTP client, whose [url.Error] prints the
// whole URL with the secrets in its path and query.
//
// [errors.Is] answers as for err. [errors.As] and [errors.Unwrap] see what lies
// inside the url.Error, whose own texts are not cleaned, but never the url.Error
// or what wraps it, since these print the URL. An error with nothing to hide is
// returned as it is, nil too.
func (r *Redactor) Error(err error, host string) error {
	if err == nil {
		return nil
	}
	inner, operation, cleaned := err, "", false
	for {
		withURL, ok := errors.AsType[*url.Error](inner)
		if !ok {
			break
		}
		operation, inner, cleaned = withURL.Op, withURL.Err, true
		if inner == nil {
			inner = errors.New("no cause given")
		}
	}
	raw := inner.Error()
	text := Text(anyURL.ReplaceAllString(r.String(raw), "[url]"))
	if !cleaned && text == raw {
		return err
	}
	if prefix := strings.TrimSpace(operation + " " + host); prefix != "" {
		text = prefix + ": " + text
	}
	return &cleanError{
		text:  text,
		inner: func() error { return inner },
		is:    func(target error) bool { return errors.Is(err, target) },
	}
}

// cleanError holds the original errors in closures, where no formatting verb
// reaches them.
type cleanError struct {
	text  string
	inner func() error
	is    func(error) bool
}

func (e *cleanError) Error() string        { return e.text }
func (e *cleanError) Unwrap() error        { return e.inner() }
func (e *cleanError) Is(target error) bool { return e.is(target) }
