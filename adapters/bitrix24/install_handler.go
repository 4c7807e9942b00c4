package bitrix24

import (
	"errors"
	"io"
	"net/http"

	"github.com/enlace-go/enlace"
)

// maxInstallBody bounds what an installation may send; real ones have two kilobytes.
const maxInstallBody = 64 << 10

// InstallHandler serves the address that an application names for its installation
// (sheet 1.5, 6.3). It takes ONAPPINSTALL, ONAPPUPDATE and the form that opens the
// application's page, proves them by [VerifyInstall], and gives what was proved to accept.
// Other events, such as ONAPPUNINSTALL, belong to the integration's webhook address.
//
// accept stores the account: as a new integration by Service.Create, or by Service.Connect
// in the one that has its MemberID. The page's form (in.Event is empty) proves no more
// than that some user of the portal opened it: let it make an integration that is
// missing, and never replace one that is there. accept is the place for [Subscribe] and
// [SubscribeOffline] too, since an installation or update has ended all subscriptions.
// What it writes is the answer; for an application with a page that is the page.
//
// Answers are 200, 400 for what is no installation, 403 for what is not genuine, 405,
// 413, and 503 if it could not be proved or accept failed; nothing is said beside. The
// portal does not repeat an installation: after a 503 the user must.
func InstallHandler(o InstallOptions, accept func(w http.ResponseWriter, r *http.Request, in Install, account Account) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		in, err := readInstall(w, r)
		var account Account
		if err == nil {
			account, err = VerifyInstall(r.Context(), in, o)
		}
		if err == nil {
			err = accept(w, r, in, account)
		}
		if err != nil {
			w.WriteHeader(installStatus(err))
		}
	})
}

func readInstall(w http.ResponseWriter, r *http.Request) (Install, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInstallBody))
	if err != nil {
		return Install{}, err
	}
	in, err := ParseInstall(r.URL.Query(), body)
	if err != nil {
		return Install{}, errNoInstall
	}
	return in, nil
}

// errNoInstall tells what the sender sent from what the authorization server answered.
var errNoInstall = errors.New("the request is no installation")

func installStatus(err error) int {
	_, long := errors.AsType[*http.MaxBytesError](err)
	switch {
	case long:
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errNoInstall):
		return http.StatusBadRequest
	case errors.Is(err, enlace.ErrAuth), errors.Is(err, enlace.ErrBlocked):
		return http.StatusForbidden
	default:
		return http.StatusServiceUnavailable
	}
}
