package zapsigntest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// session is what a JWT stands for.
type session struct {
	account *account
	refresh bool
	expires time.Time
}

// authenticate finds the account that a request is for (F2). Tokens of the other environment are
// as good as unknown.
func (a *API) authenticate(r *http.Request, production, rawToken bool) (*account, *answer) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer && !rawToken {
		token = ""
	}
	token = orDefault(token, r.URL.Query().Get("api_token"))
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.tokens[token]
	if s, isJWT := a.sessions[token]; isJWT && !s.refresh {
		if !a.now().Before(s.expires) {
			no := invalidJWT()
			return nil, &no
		}
		acc = s.account
	}
	if acc == nil || acc.Production != production {
		no := a.badToken()
		return nil, &no
	}
	return acc, nil
}

func (a *API) badToken() answer {
	const literal = "API token not found. More details here / Token da API não encontrado: https://docs.zapsign.com.br/english/authentication/autenticacao"
	status := http.StatusForbidden
	if a.options.Quirks.Unauthorized401 {
		status = http.StatusUnauthorized
	}
	if a.options.Quirks.PlainAuthError {
		return text(status, literal)
	}
	return detail(status, literal)
}

func invalidJWT() answer {
	return jsonAnswer(http.StatusUnauthorized, struct {
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"Token is invalid or expired", "token_not_valid"})
}

// accessTTL is the life of an access token (sheet 1.3).
const accessTTL = time.Hour

// login is POST /auth/token/{organization_id} (T33).
func (c *call) login() answer {
	if !c.window.take(c.now(), "login "+c.params[0], c.options.LoginLimit) {
		return message(http.StatusBadRequest, "Rate limit exceeded")
	}
	username, password := c.in.text("username"), c.in.text("password")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	organization, _ := strconv.Atoi(c.params[0])
	for _, acc := range c.accounts {
		if acc.OrganizationID == organization && acc.Username == username && acc.Password == password {
			return ok(struct {
				Refresh string `json:"refresh"`
				Access  string `json:"access"`
			}{c.issue(acc, true, c.options.RefreshTTL), c.issue(acc, false, accessTTL)})
		}
	}
	return detail(http.StatusUnauthorized, "No active account found with the given credentials")
}

// refreshToken is POST /auth/token-refresh/.
func (c *call) refreshToken() answer {
	token := c.in.text("refresh")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	s, known := c.sessions[token]
	if !known || !s.refresh || !c.now().Before(s.expires) {
		return invalidJWT()
	}
	return ok(map[string]string{"access": c.issue(s.account, false, accessTTL)})
}

// issue makes a token that looks like a JWT.
func (a *API) issue(acc *account, refresh bool, life time.Duration) string {
	token := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + randomHex(40) + "." + randomHex(16)
	a.sessions[token] = session{acc, refresh, a.now().Add(life)}
	return token
}
