package zapsigntest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
)

// The objects of section 3, their keys in the order in which they are served.

type documentJSON struct {
	Sandbox                bool         `json:"sandbox"`
	ExternalID             string       `json:"external_id"`
	OpenID                 int          `json:"open_id"`
	Token                  string       `json:"token"`
	Name                   string       `json:"name"`
	FolderPath             string       `json:"folder_path"`
	FolderToken            *string      `json:"folder_token"`
	Status                 string       `json:"status"`
	RejectedReason         *string      `json:"rejected_reason"`
	Lang                   string       `json:"lang"`
	OriginalFile           link         `json:"original_file"`
	SignedFile             link         `json:"signed_file"`
	ExtraDocs              []extraJSON  `json:"extra_docs"`
	CreatedThrough         string       `json:"created_through"`
	Deleted                bool         `json:"deleted"`
	DeletedAt              stamp        `json:"deleted_at"`
	SignedFileOnlyFinished bool         `json:"signed_file_only_finished"`
	DisableSignerEmails    bool         `json:"disable_signer_emails"`
	BrandLogo              string       `json:"brand_logo"`
	BrandPrimaryColor      string       `json:"brand_primary_color"`
	CreatedAt              stamp        `json:"created_at"`
	LastUpdateAt           stamp        `json:"last_update_at"`
	CreatedBy              creatorJSON  `json:"created_by"`
	Template               *templateRef `json:"template"`
	Signers                []signerJSON `json:"signers"`
	Answers                []variable   `json:"answers"`
	AutoReminder           int          `json:"auto_reminder"`
	SignatureReport        *string      `json:"signature_report"`
	TSACountry             *string      `json:"tsa_country"`
	UseTimestamp           bool         `json:"use_timestamp"`
	Metadata               []pair       `json:"metadata"`
	OriginalFileHash       *string      `json:"original_file_hash,omitempty"`
	*oneClickJSON
}

type creatorJSON struct {
	Email string `json:"email"`
}

type templateRef struct {
	Token string `json:"token"`
	Name  string `json:"name"`
}

// oneClickJSON is there for documents of the OneClick flow only.
type oneClickJSON struct {
	OneClickActive   bool `json:"one_click_active"`
	RequireSignature bool `json:"require_signature"`
}

type variable struct {
	Variable string `json:"variable"`
	Value    string `json:"value"`
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type extraJSON struct {
	OpenID         int     `json:"open_id"`
	Token          string  `json:"token"`
	Name           string  `json:"name"`
	OriginalFile   link    `json:"original_file"`
	SignedFile     link    `json:"signed_file"`
	ParentDocToken *string `json:"parent_doc_token,omitempty"`
}

type signerJSON struct {
	ExternalID           string          `json:"external_id"`
	SignURL              string          `json:"sign_url"`
	Token                string          `json:"token"`
	Status               string          `json:"status"`
	StatusCode           string          `json:"status_code,omitempty"`
	Name                 string          `json:"name"`
	LockName             bool            `json:"lock_name"`
	Email                string          `json:"email"`
	LockEmail            bool            `json:"lock_email"`
	HideEmail            bool            `json:"hide_email"`
	BlankEmail           bool            `json:"blank_email"`
	PhoneCountry         string          `json:"phone_country"`
	PhoneNumber          string          `json:"phone_number"`
	LockPhone            bool            `json:"lock_phone"`
	HidePhone            bool            `json:"hide_phone"`
	BlankPhone           bool            `json:"blank_phone"`
	TimesViewed          int             `json:"times_viewed"`
	FirstOpenedAt        *stamp          `json:"first_opened_at,omitempty"`
	LastViewAt           stamp           `json:"last_view_at"`
	SignedAt             stamp           `json:"signed_at"`
	AuthMode             string          `json:"auth_mode"`
	Qualification        string          `json:"qualification"`
	RequireSelfiePhoto   bool            `json:"require_selfie_photo"`
	RequireDocumentPhoto bool            `json:"require_document_photo"`
	GeoLatitude          *string         `json:"geo_latitude"`
	GeoLongitude         *string         `json:"geo_longitude"`
	RedirectLink         string          `json:"redirect_link"`
	SignatureImage       *string         `json:"signature_image"`
	VistoImage           *string         `json:"visto_image"`
	DocumentPhotoURL     string          `json:"document_photo_url"`
	DocumentVersePhoto   string          `json:"document_verse_photo_url"`
	SelfiePhotoURL       string          `json:"selfie_photo_url"`
	SelfiePhotoURL2      string          `json:"selfie_photo_url2"`
	SendVia              string          `json:"send_via"`
	ResendAttempts       *resendAttempts `json:"resend_attempts"`
	CPF                  string          `json:"cpf"`
	CNPJ                 string          `json:"cnpj"`
	SendSignedFile       *bool           `json:"send_automatic_whatsapp_signed_file"`
	LivenessPhotoURL     string          `json:"liveness_photo_url"`
	SelfieValidationType string          `json:"selfie_validation_type"`
	IP                   *string         `json:"ip"`
	*signerDetailJSON
	*notificationJSON
	*failureJSON
}

// signerDetailJSON is what GET /signers/{token}/ adds.
type signerDetailJSON struct {
	Delegator           *string `json:"delegator"`
	SignatureAnchorText string  `json:"signature_anchor_text"`
	RubricaAnchorText   string  `json:"rubrica_anchor_text"`
}

// notificationJSON is what some webhooks add to their signer (T27).
type notificationJSON struct {
	NotificationType    string `json:"notification_type"`
	NotificationChannel string `json:"notification_channel"`
	SentAt              stamp  `json:"sent_at"`
}

// failureJSON is what signer_authentication_failed adds to its signer (sheet 5.2).
type failureJSON struct {
	MaxAttempts                 int    `json:"max_attempts"`
	AttemptsUsed                int    `json:"attempts_used"`
	AuthenticationFailureReason string `json:"authentication_failure_reason"`
}

type resendAttempts struct {
	Whatsapp int `json:"whatsapp"`
	Email    int `json:"email"`
	SMS      int `json:"sms"`
}

// render makes the full Document. It stays valid while the document changes.
func (a *API) render(d *document) documentJSON {
	out := documentJSON{
		ExternalID: d.externalID, OpenID: d.openID, Token: d.token, Name: d.name, FolderPath: d.folderPath, FolderToken: d.folderToken,
		Status: d.status, RejectedReason: d.rejectedReason, Lang: d.lang, OriginalFile: a.link(d.original), SignedFile: a.link(d.signedFile),
		ExtraDocs: []extraJSON{}, CreatedThrough: d.createdThrough, Deleted: !d.deletedAt.IsZero(), DeletedAt: stamp(d.deletedAt),
		SignedFileOnlyFinished: d.signedFileOnlyFinished, DisableSignerEmails: d.disableSignerEmails, BrandLogo: d.brandLogo,
		BrandPrimaryColor: d.brandColor, CreatedAt: stamp(d.createdAt), LastUpdateAt: stamp(d.updatedAt), CreatedBy: creatorJSON{d.createdBy},
		Signers: []signerJSON{}, Answers: append([]variable{}, d.answers...), AutoReminder: d.reminderDays, UseTimestamp: true,
		Metadata: append([]pair{}, d.metadata...),
	}
	for _, extra := range d.extras {
		out.ExtraDocs = append(out.ExtraDocs, a.renderExtra(extra))
	}
	slices.SortStableFunc(out.ExtraDocs, func(x, y extraJSON) int { return cmp.Compare(x.Name, y.Name) })
	for _, s := range d.signers {
		out.Signers = append(out.Signers, a.renderSigner(s))
	}
	if d.template != nil {
		out.Template = &templateRef{d.template.token, d.template.name}
	}
	if d.oneClick {
		out.oneClickJSON = &oneClickJSON{true, d.requireSignature}
	}
	if !a.options.Quirks.DocumentedKeys {
		out.OriginalFileHash = &d.original.hash
	}
	return out
}

// renderForWebhook is render with the extra documents in any order (F18).
func (a *API) renderForWebhook(d *document) documentJSON {
	out := a.render(d)
	rand.Shuffle(len(out.ExtraDocs), func(i, j int) { out.ExtraDocs[i], out.ExtraDocs[j] = out.ExtraDocs[j], out.ExtraDocs[i] })
	return out
}

func (a *API) renderExtra(d *document) extraJSON {
	return extraJSON{OpenID: d.openID, Token: d.token, Name: d.name, OriginalFile: a.link(d.original), SignedFile: a.link(d.signedFile)}
}

func (a *API) renderSigner(s *signer) signerJSON {
	out := signerJSON{
		ExternalID: s.externalID, SignURL: a.signURL(s), Token: s.token, Status: s.status, Name: s.name, LockName: s.lockName,
		Email: s.email, LockEmail: s.lockEmail, HideEmail: s.hideEmail, BlankEmail: s.blankEmail,
		PhoneCountry: s.phoneCountry, PhoneNumber: s.phoneNumber, LockPhone: s.lockPhone, HidePhone: s.hidePhone, BlankPhone: s.blankPhone,
		TimesViewed: s.timesViewed, LastViewAt: stamp(s.lastViewAt), SignedAt: stamp(s.signedAt), AuthMode: s.authMode, Qualification: s.qualification,
		RequireSelfiePhoto: s.requireSelfie, RequireDocumentPhoto: s.requireDocument, GeoLatitude: s.latitude, GeoLongitude: s.longitude,
		RedirectLink: s.redirectLink, DocumentPhotoURL: s.documentPhoto, DocumentVersePhoto: s.documentVersePhoto,
		SendVia: s.sendVia, CPF: s.cpf, SendSignedFile: s.sendSignedFile, SelfieValidationType: s.selfieValidation, IP: s.ip,
	}
	if s.resends != (resendAttempts{}) {
		attempts := s.resends
		out.ResendAttempts = &attempts
	}
	if !a.options.Quirks.DocumentedKeys {
		first := stamp(s.firstOpenedAt)
		out.StatusCode, out.FirstOpenedAt = statusCodes[s.status], &first
	}
	return out
}

var statusCodes = map[string]string{statusNew: "not-opened", statusOpened: "opened", signed: "signed", rejeitou: "refused"}

func (a *API) signURL(s *signer) string {
	flow := ""
	if s.document.oneClick {
		flow = "oneclick/"
	}
	return a.app(s.document.account) + "/verificar/" + flow + s.token
}

// isBiometric tells whether the signer has attempts that can be used up.
func (s *signer) isBiometric() bool { return !strings.EqualFold(s.selfieValidation, "none") }
