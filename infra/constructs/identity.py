"""Whose tokens are accepted: a Cognito user pool of the stack's own, or the issuer that a deployment names."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, CfnCondition, CfnParameter, CfnRule, CfnRuleAssertion, Fn, RemovalPolicy, Stack, Token
from aws_cdk import aws_cognito as cognito
from constructs import Construct

_UNITS = {"access_token": "hours", "id_token": "hours", "refresh_token": "days"}


@dataclass(frozen=True, kw_only=True)
class Given:
    """The parameters that name an issuer; the pool is used where `issuer` is empty.

    client: the id under which the page is known to that issuer.
    """

    jwks_url: CfnParameter
    issuer: CfnParameter
    audience: CfnParameter
    client: CfnParameter


class Identity(Construct):
    """A user pool whose accounts an administrator makes, its sign-in pages, and the chat page as its public client.

    `jwks_url`, `issuer` and `audience` are what the API checks tokens by; `page_config` is what the page signs in with.
    """

    def __init__(self, scope: Construct, construct_id: str, *, name: str, given: Given, keep: bool) -> None:
        """name: of the stack. keep: whether the pool outlives the stack."""
        super().__init__(scope, construct_id)
        pool = cognito.UserPool(
            self,
            "Pool",
            user_pool_name=name,
            # Whoever can sign up can spend: accounts are made by an administrator until that is changed here.
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_digits=True, require_lowercase=True, require_uppercase=True, require_symbols=True
            ),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            feature_plan=cognito.FeaturePlan.ESSENTIALS,
            deletion_protection=keep,
            removal_policy=RemovalPolicy.RETAIN if keep else RemovalPolicy.DESTROY,
        )
        pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"{name}-{Aws.ACCOUNT_ID}"),
            managed_login_version=cognito.ManagedLoginVersion.NEWER_MANAGED_LOGIN,
        )
        self._client = cognito.CfnUserPoolClient(
            self,
            "Page",
            user_pool_id=pool.user_pool_id,
            client_name="chat page",
            # A page can keep no secret: the code is bound to the browser by PKCE.
            generate_secret=False,
            allowed_o_auth_flows_user_pool_client=True,
            allowed_o_auth_flows=["code"],
            allowed_o_auth_scopes=["openid", "email", "profile"],
            supported_identity_providers=["COGNITO"],
            explicit_auth_flows=["ALLOW_REFRESH_TOKEN_AUTH"],
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            access_token_validity=1,
            id_token_validity=1,
            refresh_token_validity=30,
            token_validity_units=cognito.CfnUserPoolClient.TokenValidityUnitsProperty(**_UNITS),
        )
        cognito.CfnManagedLoginBranding(
            self,
            "Branding",
            user_pool_id=pool.user_pool_id,
            client_id=self._client.ref,
            use_cognito_provided_values=True,
        )
        # Refused before anything is made: an issuer's token for any other application would be accepted.
        CfnRule(
            self,
            "OneApplication",
            rule_condition=Fn.condition_not(Fn.condition_equals(given.issuer.value_as_string, "")),
            assertions=[
                CfnRuleAssertion(
                    assert_=Fn.condition_not(Fn.condition_equals(given.audience.value_as_string, "")),
                    assert_description="JwtIssuer is set: name the audience of its tokens in JwtAudience, too",
                ),
                CfnRuleAssertion(
                    assert_=Fn.condition_not(Fn.condition_equals(given.jwks_url.value_as_string, "")),
                    assert_description="JwtIssuer is set: name where its keys are published in JwksUrl, too",
                ),
            ],
        )
        own = CfnCondition(
            self, "OwnIssuer", expression=Fn.condition_not(Fn.condition_equals(given.issuer.value_as_string, ""))
        )

        def either(one: str, other: str) -> str:
            return Token.as_string(Fn.condition_if(own.logical_id, one, other))

        url = f"https://cognito-idp.{Stack.of(self).region}.amazonaws.com/{pool.user_pool_id}"
        self.user_pool_id = pool.user_pool_id
        self.issuer = either(given.issuer.value_as_string, url)
        self.jwks_url = either(given.jwks_url.value_as_string, f"{url}/.well-known/jwks.json")
        self.audience = either(given.audience.value_as_string, self._client.ref)
        self.page_config = {
            "apiBase": "",
            "issuer": self.issuer,
            "clientId": either(given.client.value_as_string, self._client.ref),
            "scope": "openid email profile",
            # Cognito's access tokens name no audience; its ID tokens name the client.
            "token": either("access_token", "id_token"),
        }

    def allow_page(self, url: str) -> None:
        """Let the pool send people back to the page at `url`."""
        self._client.callback_ur_ls = [url]
        self._client.logout_ur_ls = [url]
