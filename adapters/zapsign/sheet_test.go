package zapsign_test

import (
	"testing"

	"github.com/enlace-go/enlace/internal/sheettest"
)

// sheetIndex says which tests hold what the contract sheet of ZapSign numbers: F
// are the behaviours of a faithful fake, T the test cases, against the adapter and
// the fake, and Q the quirks (9.1 to 9.31 there).
const sheetIndex = `
F1    zapsigntest.TestF01BasePathAndSuccess
F2    zapsigntest.TestF02Credentials
F3    zapsigntest.TestF03AccountsAreApart
F4    zapsigntest.TestF04TrailingSlash
F5    zapsigntest.TestF05PathsAndMethodsThatDoNotExist
F6    zapsigntest.TestF06BodiesThatAreNotJSON
F7    zapsigntest.TestRateLimitPerAddressAndPerToken zapsigntest.TestF07RateLimit
F8    zapsigntest.TestF08ProductionWithoutPlan
F9    zapsigntest.TestF09Faults
F10   zapsigntest.TestF10Create
F11   zapsigntest.TestF11WhatACreateNeeds
F12   zapsigntest.TestF12Limits
F13   zapsigntest.TestF13EqualExternalIDs
F14   zapsigntest.TestF14ExternalID
F15   zapsigntest.TestF15NeverEchoed
F16   zapsigntest.TestF16FileLinks
F17   zapsigntest.TestF17DetailOfAnExtra
F18   zapsigntest.TestF18ExtraDocuments
F19   zapsigntest.TestF19Update
F20   zapsigntest.TestF20Delete
F21   zapsigntest.TestF21PlaceSignatures
F22   zapsigntest.TestF22Cancel
F23   zapsigntest.TestF23Reprocess
F24   zapsigntest.TestF24Envelope
F25   zapsigntest.TestF25PlainHTTPIsRedirectedBeforeCredentials
F26   zapsigntest.TestF26Filters
F27   zapsigntest.TestF27Defaults
F28   zapsigntest.TestF28Rows
F29   zapsigntest.TestF29SignersOfRows zapsigntest.TestF29SignersOfExpiredDocuments
F30   zapsigntest.TestF30Cache
F31   zapsigntest.TestF31PastTheEnd
F32   zapsigntest.TestF32AddSigner
F33   zapsigntest.TestF33UpdateSigner
F34   zapsigntest.TestF34ResendWindow
F35   zapsigntest.TestF35RemoveSigner
F36   zapsigntest.TestF36Groups
F37   zapsigntest.TestF37BulkResend
F38   zapsigntest.TestF38BatchSign
F39   zapsigntest.TestF39Registration
F40   zapsigntest.TestF40Matching
F41   zapsigntest.TestF41TwoRegistrations
F42   zapsigntest.TestF42Headers
F43   zapsigntest.TestF43Payload zapsigntest.TestF43TokenOfTheMainDocument
F44   zapsigntest.TestF44Retry zapsigntest.TestF44Timeout
F45   zapsigntest.TestF45DuplicatesReorderingLoss
F46   zapsigntest.TestF46Sequences
F47   zapsigntest.TestF47Expiry
F48   zapsigntest.TestF48Bounce
F49   zapsigntest.TestF49UnknownEvent
T1    TestT01CreateOneSigner zapsigntest.TestT01CreateOneSigner
T2    TestT02CreateWithoutPlan zapsigntest.TestT02ProductionWithoutPlan
T3    TestT03BadToken zapsigntest.TestT03BadToken
T4    TestT04List zapsigntest.TestT04ListWithSigners
T5    TestT05PageBehindTheEnd zapsigntest.TestT05PagePastTheEnd
T6    TestT06DetailOfExtraAndT09ItsLimit zapsigntest.TestT06DetailOfAnExtra
T7    TestT07NotFoundAndT08Update zapsigntest.TestT07NotFound
T8    TestT07NotFoundAndT08Update zapsigntest.TestT08UpdateDocument
T9    TestT06DetailOfExtraAndT09ItsLimit zapsigntest.TestT09ExtraLimitInTheSandbox
T10   TestT10PlaceSignatures zapsigntest.TestT10PlaceSignatures
T11   TestT11Resend zapsigntest.TestT11UpdateAndResendWithinHalfAnHour
T12   TestT12NullIsNotSent zapsigntest.TestT12NullOnSignerUpdate
T13   TestT13RemoveSigner zapsigntest.TestT13RemoveSigner
T14   TestT14CancelAndAgain zapsigntest.TestT14CancelTwice
T15   TestInputIsCheckedBeforeItIsSent zapsigntest.TestT15CancelWithoutReason
T16   TestT16Delete zapsigntest.TestT16Delete
T17   TestT17RateLimit zapsigntest.TestT17RateLimit
T18   TestT18BulkCooldown zapsigntest.TestT18BulkResendCooldown
T19   TestT19Groups zapsigntest.TestT19GroupsWithAGap
T20   TestT20Registration zapsigntest.TestT20RegisterWebhook
T21   TestEventsOfADocument zapsigntest.TestT21FirstOfTwoSigners
T22   TestEventsOfADocument zapsigntest.TestT22LastSigner
T23   TestEventsOfRefusalCancelAndExpiry zapsigntest.TestT23WebhooksOfARefusal
T24   TestEventsOfRefusalCancelAndExpiry zapsigntest.TestT24WebhookOfACompanyCancel
T25   TestT25BounceAndOtherEventsWithoutDocument zapsigntest.TestT25EmailBounce
T26   TestEventsOfRefusalCancelAndExpiry zapsigntest.TestT26DocExpired
T27   TestEventsOfADocument zapsigntest.TestT27SignatureNotificationSent
T28   TestRepeatedDeliveries zapsigntest.TestT28Retry
T29   TestT29ForgedWebhooks zapsigntest.TestT29ForgedWebhook
T30   TestT25BounceAndOtherEventsWithoutDocument zapsigntest.TestT30UnknownEvent
T31   TestT31TimeoutAfterCommit zapsigntest.TestT31TimeoutAfterCommit
T32   TestT32PlanInfo zapsigntest.TestT32PlanInfoAbsent
T33   TestT33JWT zapsigntest.TestT33JWT
T34   TestT34CreateFromTemplate zapsigntest.TestT34CreateFromTemplate
T35   TestT35Files zapsigntest.TestT35ExpiredFileURL
Q1    TestT11Resend TestT13RemoveSigner zapsigntest.TestF33UpdateSigner zapsigntest.TestF35RemoveSigner
Q2    TestT14CancelAndAgain
Q3    TestEventsOfADocument
Q4    TestT35Files zapsigntest.TestT21FirstOfTwoSigners
Q5    TestT04List zapsigntest.TestF29SignersOfRows
Q6    TestT04List zapsigntest.TestF25PlainHTTPIsRedirectedBeforeCredentials
Q7    TestDocumentsAreReadOnceAndThenByChange zapsigntest.TestF28Rows
Q8    zapsigntest.TestF18ExtraDocuments
Q9    zapsigntest.TestF40Matching
Q10   TestT20Registration
Q11   TestT20Registration
Q12   TestT11Resend
Q13   TestEnvironmentsAreApart zapsigntest.TestF10Create
Q14   zapsigntest.TestF36Groups
Q15   TestT13RemoveSigner TestT10PlaceSignatures
Q16   TestT02CreateWithoutPlan
Q17   TestT12NullIsNotSent zapsigntest.TestF06BodiesThatAreNotJSON
Q18   - about other people's code
Q19   - about other people's code
Q20   - about other people's code
Q21   zapsigntest.TestF05PathsAndMethodsThatDoNotExist
Q22   TestT01CreateOneSigner FuzzParseRows
Q23   TestTheOtherCalls zapsigntest.TestActivityLog
Q24   TestEventsOfRefusalCancelAndExpiry
Q25   TestEventsOfRefusalCancelAndExpiry
Q26   zapsigntest.TestF15NeverEchoed
Q27   - how signatures are drawn into the PDF, which the fake does not do
Q28   zapsigntest.TestMessagesByHandAndByItself
Q29   zapsigntest.TestRefuseByUser
Q30   TestT01CreateOneSigner
Q31   - about other people's code
`

func TestCommentsNameTheirSource(t *testing.T) { sheettest.Comments(t) }

func TestSheet(t *testing.T) {
	sheettest.Check(t, sheetIndex, sheettest.Numbers{Letter: "F", Last: 49}, sheettest.Numbers{Letter: "T", Last: 35}, sheettest.Numbers{Letter: "Q", Last: 31})
}
