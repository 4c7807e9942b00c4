package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

var (
	// ErrTooLarge: the answer, after decompression, is longer than Sender.MaxBody.
	// It is never asked for again.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrTimeout: a time limit of the Sender or of the connection was reached, not
	// one of the caller's; it never matches context.DeadlineExceeded.
	ErrTimeout = errors.New("timed out")
	// ErrDeadlineTooShort: the wait at a Gate or Budget would outlast the deadline,
	// so nothing was sent. It comes as a *WaitError.
	ErrDeadlineTooShort = errors.New("the deadline is too short")

	errConnection = errors.New("the connection failed")
	errProtocol   = errors.New("the answer is not valid HTTP")
	errNoHost     = errors.New("the host name does not resolve")
	errClosed     = errors.New("the connection was closed before the answer was complete")
)

// WaitError says how long the wait would be that the deadline does not leave time
// for. It matches ErrDeadlineTooShort.
type WaitError struct {
	Wait time.Duration // an estimate
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("%v: the quota is used up for about %v", ErrDeadlineTooShort, e.Wait.Round(time.Millisecond))
}

// Is makes errors.Is(err, ErrDeadlineTooShort) true.
func (e *WaitError) Is(target error) bool { return target == ErrDeadlineTooShort }

// Stage says how far a request got.
type Stage uint8

// The stages. When in doubt it is Sent.
const (
	NotSent Stage = iota // no byte of it has left, in no attempt
	Sent                 // the provider may have received it, in this or an earlier attempt
)

// Fault is a Send that ended without an answer to judge. Err is one of the
// package's sentinels, guard.ErrBlocked, the caller's context error, a system
// error number, a certificate error or a plain text, and holds no part of the
// request but its host.
type Fault struct {
	Stage  Stage
	Method string
	Host   string
	Err    error
}

func (f *Fault) Error() string { return f.Method + " " + f.Host + ": " + f.Err.Error() }

// Unwrap returns the reason.
func (f *Fault) Unwrap() error { return f.Err }

// reason turns an error of net/http into one that is fit to be shown: a known
// value or a fixed text. Nothing else passes, since net/http quotes URLs and the
// other side's bytes, which may repeat ours. final says that another try would
// end the same way.
func reason(err error) (_ error, final bool) {
	if blocked, ok := errors.AsType[*guard.BlockedError](err); ok {
		return blocked, true
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate, true
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, ErrTimeout) {
		return ErrTimeout, false
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number, false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errNoHost, false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errClosed, false
	}
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "net/http: invalid "): // a method, header name or header value; never quotes the value
		return errors.New(text), true
	case strings.HasPrefix(text, "tls: "), strings.HasPrefix(text, "remote error: tls: "), strings.HasPrefix(text, "local error: tls: "):
		return errors.New(text), false
	case strings.Contains(text, "malformed"):
		return errProtocol, false
	default:
		return errConnection, false
	}
}
