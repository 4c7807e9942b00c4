package zapsigntest

import (
	"errors"
	"time"
)

// What a person cannot do.
var (
	ErrUnknownToken   = errors.New("zapsigntest: no such token")
	ErrClosed         = errors.New("zapsigntest: the signer or the document is done, or the deadline is over")
	ErrNotTheirTurn   = errors.New("zapsigntest: signers of an earlier group have to sign first")
	ErrMayNotRefuse   = errors.New("zapsigntest: the document was created without allow_refuse_signature")
	ErrReasonTooShort = errors.New("zapsigntest: the signature screen wants a longer reason")
	ErrAttemptsUsedUp = errors.New("zapsigntest: the signer has no attempts left")
)

// act finds a signer by token and lets it act.
func (a *API) act(signerToken string, what func(*signer) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.signers[signerToken]
	if s == nil {
		return ErrUnknownToken
	}
	return what(s)
}

// Open lets a signer open the link, which may be done any number of times (event doc_viewed). It
// returns [ErrUnknownToken] if there is no such signer.
func (a *API) Open(signerToken string) error {
	return a.act(signerToken, func(s *signer) error { a.view(s); return nil })
}

func (a *API) view(s *signer) {
	s.timesViewed++
	s.lastViewAt = a.tick()
	if s.firstOpenedAt.IsZero() {
		s.firstOpenedAt = s.lastViewAt
	}
	if s.status == statusNew {
		s.status = statusOpened
	}
	a.log(s.document, s.name, "Documento visualizado", "")
	a.emitSigner(s, "doc_viewed", request)
}

// ConfirmReading lets a signer confirm that the document was read (event doc_read_confirmation).
func (a *API) ConfirmReading(signerToken string) error {
	return a.act(signerToken, func(s *signer) error {
		if err := a.canSign(s); err != nil {
			return err
		}
		a.log(s.document, s.name, "Leitura confirmada", "")
		a.emitSigner(s, "doc_read_confirmation", request)
		return nil
	})
}

// Sign lets a signer sign, who opens the link first if that did not happen yet. Each signature
// sends doc_signed, and the last one completes the document. It returns [ErrClosed] if the signer
// or the document is done or the deadline is over.
func (a *API) Sign(signerToken string) error {
	return a.act(signerToken, func(s *signer) error {
		if err := a.canSign(s); err != nil {
			return err
		}
		if s.timesViewed == 0 {
			a.view(s)
		}
		a.sign(s)
		return nil
	})
}

// canSign checks what keeps a signer from signing.
func (a *API) canSign(s *signer) error {
	d := s.document
	switch {
	case !s.isOpen() || d.status != pending || d.expired || !d.deletedAt.IsZero() && a.options.Quirks.DeletedStopsSigning:
		return ErrClosed
	case a.options.Quirks.BlockOutOfOrder && !d.turn(s):
		return ErrNotTheirTurn
	case s.isBiometric() && s.attempts >= maxAttempts:
		return ErrAttemptsUsedUp
	}
	return nil
}

func (a *API) sign(s *signer) {
	d := s.document
	latitude, longitude, ip := "-23.550000", "-46.630000", "203.0.113.7"
	s.status, s.signedAt = signed, a.tick()
	s.latitude, s.longitude, s.ip = &latitude, &longitude, &ip
	a.seal(d, "signed by "+s.name)
	d.updatedAt = a.tick()
	a.log(d, s.name, "Documento assinado", "")
	a.finish(d)
	a.emitSigner(s, "doc_signed", "")
	if s.sendSignedFile != nil && *s.sendSignedFile && s.phoneNumber != "" {
		a.post(d, s, signedFile, "whatsapp", s.phoneCountry+s.phoneNumber, "")
	}
	a.inviteNext(d)
}

// finish completes a document that everybody signed and tells its observers.
func (a *API) finish(d *document) {
	for _, s := range d.signers {
		if s.status != signed {
			return
		}
	}
	d.status = signed
	for _, observer := range d.observers {
		a.post(d, nil, completed, "email", observer, "")
	}
}

// minReason is about the length from which the signature screen takes a reason (9.29).
const minReason = 16

// Refuse lets a signer refuse the document: doc_refused goes out at once and doc_signed 40 seconds
// later. It returns [ErrMayNotRefuse] if the document does not allow it, [ErrReasonTooShort] for
// a reason of less than 16 characters, and [ErrClosed] as [API.Sign] does.
func (a *API) Refuse(signerToken, reason string) error {
	return a.act(signerToken, func(s *signer) error {
		switch err := a.canSign(s); {
		case err != nil && err != ErrNotTheirTurn && err != ErrAttemptsUsedUp:
			return err
		case !s.document.allowRefuse:
			return ErrMayNotRefuse
		case characters(reason) < minReason:
			return ErrReasonTooShort
		}
		if s.timesViewed == 0 {
			a.view(s)
		}
		a.refuse(s, reason)
		return nil
	})
}

// Bounce makes the last e-mail to a signer undeliverable (event email_bounce, F48).
func (a *API) Bounce(signerToken string) error {
	return a.act(signerToken, func(s *signer) error {
		bounce := bounceJSON{s.email, s.token, "link_email", "dropped", nil, "mailbox unavailable", false, "email_bounce"}
		a.log(s.document, "", "E-mail não entregue", s.email)
		a.emit(s.document.account, s.document, "email_bounce", bounce)
		return nil
	})
}

// maxAttempts is how often biometrics may fail (sheet 4.3).
const maxAttempts = 3

// validation is an attempt to prove who a signer is (sheet 2.2.2).
type validation struct {
	Type             string `json:"type"`
	ValidationNumber int    `json:"validation_number"`
	Status           string `json:"status"`
	Reason           string `json:"reason"`
	CreatedAt        stamp  `json:"created_at"`
}

// FailAuthentication lets a signer fail at biometrics, for a reason that the event repeats. The
// third failure sends signer_authentication_failed, after which the signer cannot sign until the
// attempts are reset. It returns [ErrAttemptsUsedUp] if they already are, or if the signer has no
// biometric validation.
func (a *API) FailAuthentication(signerToken, reason string) error {
	return a.act(signerToken, func(s *signer) error {
		if !s.isBiometric() || s.attempts >= maxAttempts {
			return ErrAttemptsUsedUp
		}
		s.attempts++
		s.validations = append(s.validations, validation{s.selfieValidation, s.attempts, "failed", reason, stamp(a.tick())})
		a.log(s.document, s.name, "Falha na validação", reason)
		if s.attempts == maxAttempts {
			out := a.renderSigner(s)
			out.failureJSON = &failureJSON{maxAttempts, s.attempts, reason}
			a.emit(s.document.account, s.document, "signer_authentication_failed",
				eventJSON{documentJSON: a.renderForWebhook(s.document), EventType: "signer_authentication_failed", UnauthenticatedSigner: &out})
		}
		return nil
	})
}

// resetAttempts is PUT /reset-auth-attempts/{signer_token}/.
func (c *call) resetAttempts() answer {
	s, no := c.signer()
	if no != nil {
		return *no
	}
	if !s.isBiometric() || s.attempts < maxAttempts {
		return errorBody(400, "Signatário tem tentativas")
	}
	s.attempts = 0
	return ok(map[string]string{"success": "As tentativas do signatário foram resetadas com sucesso."})
}

// verificationDetails is GET /signer-verification-details/{signer_token}/.
func (c *call) verificationDetails() answer {
	s, no := c.signer()
	if no != nil {
		return *no
	}
	return ok(struct {
		Token                string       `json:"token"`
		SelfieValidationType string       `json:"selfie_validation_type"`
		Validations          []validation `json:"validations"`
	}{s.token, s.selfieValidation, append([]validation{}, s.validations...)})
}

// Document is what a test can see of a document, its unreadable fields included.
type Document struct {
	Token, ExternalID, Name, Status, FolderPath, Lang, CreatedBy, RejectedReason string

	ParentToken string // of an extra document
	OpenID      int
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Deadline    time.Time // zero for none
	Expired     bool
	Deleted     bool
	Ordered     bool
	AllowRefuse bool
	BrandName   string
	Observers   []string
	Placements  []Placement
	Extras      []string // tokens, in display order
	Signers     []Signer
}

// Signer is what a test can see of a signer.
type Signer struct {
	Token, ExternalID, Name, Email, Status, SignURL string

	Group    int // in the order of signing
	SignedAt time.Time
}

// Documents returns all documents of all accounts, extra ones included, in order of creation per
// account.
func (a *API) Documents() []Document {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Document
	for _, acc := range a.accounts {
		for _, d := range acc.documents {
			all = append(all, a.snapshot(d))
		}
	}
	return all
}

// Document returns a document, main or extra, by token.
func (a *API) Document(token string) (Document, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.documents[token]; d != nil {
		return a.snapshot(d), true
	}
	return Document{}, false
}

func (a *API) snapshot(d *document) Document {
	out := Document{
		Token: d.token, ExternalID: d.externalID, Name: d.name, Status: d.root().status, FolderPath: d.root().folderPath, Lang: d.lang, CreatedBy: d.createdBy,
		OpenID: d.openID, CreatedAt: d.createdAt, UpdatedAt: d.updatedAt, Deadline: d.deadline, Expired: d.expired, Deleted: !d.root().deletedAt.IsZero(),
		Ordered: d.ordered, AllowRefuse: d.allowRefuse, BrandName: d.brandName,
		Observers: append([]string(nil), d.observers...), Placements: append([]Placement(nil), d.placements...),
	}
	if d.rejectedReason != nil {
		out.RejectedReason = *d.rejectedReason
	}
	if d.parent != nil {
		out.ParentToken = d.parent.token
	}
	for _, extra := range d.extras {
		out.Extras = append(out.Extras, extra.token)
	}
	for _, s := range d.signers {
		out.Signers = append(out.Signers, Signer{s.token, s.externalID, s.name, s.email, s.status, a.signURL(s), s.group, s.signedAt})
	}
	return out
}
